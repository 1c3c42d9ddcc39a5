// The validator badge would send the document to swagger.io: hence no validatorUrl.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null,
});
