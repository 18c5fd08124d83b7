// Asks one of the browser's security keys the question on a form, and sends the answer with the form (WebAuthn, level 2).
"use strict";

(() => {
  const toBytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
  const toText = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replace(/\+/g, "-")
      .replace(/\//g, "_")
      .replace(/=+$/, "");
  const withBytes = (list) => (list || []).map((item) => ({ ...item, id: toBytes(item.id) }));

  const create = async (asked) => {
    const made = await navigator.credentials.create({
      publicKey: {
        ...asked,
        challenge: toBytes(asked.challenge),
        user: { ...asked.user, id: toBytes(asked.user.id) },
        excludeCredentials: withBytes(asked.excludeCredentials),
      },
    });
    const { response } = made;
    return answer(made, {
      attestationObject: toText(response.attestationObject),
      transports: response.getTransports ? response.getTransports() : [],
    });
  };

  const get = async (asked) => {
    const found = await navigator.credentials.get({
      publicKey: {
        ...asked,
        challenge: toBytes(asked.challenge),
        allowCredentials: withBytes(asked.allowCredentials),
      },
    });
    const { response } = found;
    return answer(found, {
      authenticatorData: toText(response.authenticatorData),
      signature: toText(response.signature),
    });
  };

  const answer = (credential, more) => ({
    id: credential.id,
    rawId: toText(credential.rawId),
    type: credential.type,
    clientExtensionResults: {},
    response: { clientDataJSON: toText(credential.response.clientDataJSON), ...more },
  });

  for (const form of document.querySelectorAll("form[data-question]")) {
    const problem = form.querySelector("[data-problem]");
    if (!window.PublicKeyCredential) {
      problem.textContent = "This browser knows no security keys, or the page is not served over https.";
      continue;
    }
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      problem.textContent = "";
      try {
        const asked = JSON.parse(form.dataset.question);
        const given = await (form.dataset.for === "create" ? create(asked) : get(asked));
        form.elements.credential.value = JSON.stringify(given);
        form.submit();
      } catch (error) {
        problem.textContent = `The key gave no answer (${error.name}). Try again.`;
      }
    });
  }
})();
