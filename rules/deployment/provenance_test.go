package deployment

import "testing"

func TestHashTakesAnyBytes(t *testing.T) {
	a, b := Deployment{AgentDataPath: "/a\xff"}, Deployment{AgentDataPath: "/a"}
	if a.Hash() == b.Hash() || len(a.Hash()) != 12 {
		t.Errorf("hashes %s and %s", a.Hash(), b.Hash())
	}
}
