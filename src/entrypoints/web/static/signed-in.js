// Runs where the issuer sends people back to, in the window that the API docs opened, and hands what it brought to them.
const asked = window.opener?.swaggerUIRedirectOauth2;
const brought = new URLSearchParams(location.search);
if (!asked || brought.get("state") !== asked.state) {
  document.getElementById("said").textContent = "Nobody has asked for this. Sign in from the API docs.";
} else {
  if (brought.get("code")) {
    delete asked.state;
    asked.auth.code = brought.get("code");
    asked.callback({ auth: asked.auth, redirectUrl: asked.redirectUrl });
  } else {
    const message = brought.get("error_description") || brought.get("error") || "The issuer gave no code.";
    asked.errCb({ authId: asked.auth.name, source: "auth", level: "error", message });
  }
  window.close();
}
