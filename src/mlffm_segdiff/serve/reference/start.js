SwaggerUIBundle({
  url: new URL("../openapi.json", location.href).href,
  dom_id: "#reference",
  validatorUrl: null, // it would send the document to another server
  tryItOutEnabled: true,
});
