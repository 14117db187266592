package main

import (
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"github.com/guard0-ai/g0-sidecar/rules"
	"github.com/guard0-ai/g0-sidecar/rules/probe"
)

// kernelFlags say on which kernel the policies will be loaded.
type kernelFlags struct{ lsm, release string }

const thisOne = "auto"

func (k *kernelFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&k.lsm, "lsm", thisOne, "whether the kernel has the BPF LSM: true, false, or auto, which looks at this one")
	flags.StringVar(&k.release, "kernel", thisOne, "the kernel that Tetragon runs on, as 6.12 or what uname -r says; auto is this one")
}

func (k *kernelFlags) check() error {
	if !slices.Contains([]string{thisOne, "true", "false"}, k.lsm) {
		return fmt.Errorf("--lsm: %q is neither auto, true nor false", k.lsm)
	}
	return nil
}

// apply sets what policies depend on.
func (k *kernelFlags) apply(o *rules.Options) {
	here := probe.Here()
	if o.NoLSM = k.lsm == "false"; k.lsm == thisOne {
		o.NoLSM = !here.LSM
	}
	if o.Kernel = k.release; k.release == thisOne {
		o.Kernel = here.Release
	}
}
