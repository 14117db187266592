package deployment

import _ "embed" // for the schema

// Schema is the JSON Schema of a description, for editors. It is written by `make
// generate`.
//
//go:embed deployment.schema.json
var Schema string
