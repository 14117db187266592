package config

import _ "embed" // for the default pipeline

// Pipeline is the pipeline that runs where no other is given: pipeline.yaml of
// this folder, with its comments. Read-only.
//
//go:embed pipeline.yaml
var Pipeline string
