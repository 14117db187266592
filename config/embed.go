package config

import _ "embed" // for the files of this folder

// Pipeline is the pipeline that runs where no other is given: pipeline.yaml of
// this folder, with its comments. Read-only.
//
//go:embed pipeline.yaml
var Pipeline string

// PipelineSchema is the JSON Schema of pipelines, for editors: strict about what
// is g0's, open for what is Benthos's. It is written by `make generate`.
//
//go:embed pipeline.schema.json
var PipelineSchema string

// DaemonSchema is the JSON Schema of daemon.json. It is written by `make
// generate`.
//
//go:embed daemon.schema.json
var DaemonSchema string
