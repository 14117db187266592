package probe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	api "github.com/cilium/tetragon/api/v1/tetragon"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/guard0-ai/g0-sidecar/rules/scan"
)

var errNotAsked = errors.New("its address was not given")

// present says where nothing is at the path of a unix socket: clients' own words
// for that are long.
func present(address string) error {
	path, unix := strings.CutPrefix(address, "unix://")
	if _, err := os.Stat(path); unix && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is nothing at %s", path)
	}
	return nil
}

// tetragonPolicies asks Tetragon at a unix socket.
func tetragonPolicies(ctx context.Context, address string) ([]scan.Policy, error) {
	if address == "" {
		return nil, errNotAsked
	}
	if err := present(address); err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	res, err := api.NewFineGuidanceSensorsClient(conn).ListTracingPolicies(ctx, &api.ListTracingPoliciesRequest{})
	if err != nil {
		return nil, said(ctx, err)
	}
	var out []scan.Policy
	for _, p := range res.GetPolicies() {
		out = append(out, scan.Policy{
			Name:      p.GetName(),
			Enabled:   p.GetState() == api.TracingPolicyState_TP_STATE_ENABLED,
			Enforcing: p.GetMode() == api.TracingPolicyMode_TP_MODE_ENFORCE,
			Trouble:   p.GetError(),
		})
	}
	return out, nil
}

// said takes gRPC's own words off an error.
func said(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.New(status.Convert(err).Message())
}
