// The validator badge would send the document to swagger.io: hence no validatorUrl.
const options = { dom_id: "#docs", deepLinking: true, validatorUrl: null };

// Where the settings name a client for it, people can sign in instead of bringing a token. The document itself does not
// say so: Swagger UI would then ask the issuer whenever this page is shown, and not only when somebody signs in.
async function show() {
  const signIn = await (await fetch("/docs/sign-in")).json();
  if (!signIn.client_id) {
    SwaggerUIBundle({ ...options, url: "/openapi.json" });
    return;
  }
  const spec = await (await fetch("/openapi.json")).json();
  spec.components.securitySchemes.signIn = {
    type: "oauth2",
    flows: {
      authorizationCode: {
        authorizationUrl: signIn.authorization_url,
        tokenUrl: signIn.token_url,
        scopes: signIn.scopes,
      },
    },
  };
  for (const path of Object.values(spec.paths)) {
    for (const operation of Object.values(path)) {
      if (operation.security?.some((one) => "accessToken" in one)) operation.security.push({ signIn: [] });
    }
  }
  const shown = SwaggerUIBundle({ ...options, spec, oauth2RedirectUrl: `${location.origin}/docs/signed-in` });
  shown.initOAuth({
    clientId: signIn.client_id,
    scopes: signIn.wanted,
    usePkceWithAuthorizationCodeGrant: true,
    additionalQueryStringParams: { audience: signIn.audience },
  });
}

show();
