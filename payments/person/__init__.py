"""The pages of the people who are paid: nobody signs in, nothing is stored in the browser, and no script is needed."""
