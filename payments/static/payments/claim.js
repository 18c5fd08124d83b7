// Fills in the code that is behind the # of a link, and takes it out of the address. Without script it is typed.
(function () {
    "use strict";
    function fill() {
        var field = document.getElementById("id_secret");
        var code = decodeURIComponent(window.location.hash.slice(1));
        if (field && /^[0-9A-Za-z -]{26,40}$/.test(code)) {
            field.value = code;
            window.history.replaceState(null, "", window.location.pathname + window.location.search);
        }
    }
    fill();
    // A second link into a page that is open already loads nothing.
    window.addEventListener("hashchange", fill);
}());
