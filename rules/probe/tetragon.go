package probe

import (
	"context"
	"errors"

	api "github.com/cilium/tetragon/api/v1/tetragon"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/guard0-ai/g0-sidecar/rules/scan"
)

var errNotAsked = errors.New("its address was not given")

// tetragonPolicies asks Tetragon at a unix socket.
func tetragonPolicies(ctx context.Context, address string) ([]scan.Policy, error) {
	if address == "" {
		return nil, errNotAsked
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	res, err := api.NewFineGuidanceSensorsClient(conn).ListTracingPolicies(ctx, &api.ListTracingPoliciesRequest{})
	if err != nil {
		return nil, err
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
