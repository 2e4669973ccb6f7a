package measure

import (
	"context"
	"testing"
)

// The quantities go as far as Reach says: each is what its function gives with
// that radius, which is not what it gives with the default one.
func TestReachIsThatOfTheQuantities(t *testing.T) {
	o := objective[float64](t, nets["mlp"], pool)
	reach := Reach{SAM: 0.2, AdaptiveSAM: 0.1, Keskar: 0.02, KeskarSubspace: 7}
	measured := func(c ProbeConfig) map[string]float64 {
		t.Helper()
		c.Select = selected(t, "sam_sharpness", "sam_sharpness_adaptive", "keskar_sharpness", "keskar_sharpness_subspace")
		r, err := Probe(context.Background(), o, samples(6), c)
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]float64{}
		for _, x := range r.Flatness.Numbers {
			m[x.Name] = x.X
		}
		return m
	}
	usual, got := measured(ProbeConfig{}), measured(ProbeConfig{Reach: reach})

	o.Gradient(samples(6), false)
	ctx := context.Background()
	sam, err1 := SAM(ctx, o, SAMConfig{Rho: 0.2})
	adaptive, err2 := SAM(ctx, o, SAMConfig{Rho: 0.1, Adaptive: true})
	keskar, err3 := Keskar(ctx, o, KeskarConfig{Epsilon: 0.02})
	subspace, err4 := Keskar(ctx, o, KeskarConfig{Epsilon: 0.02, Dim: 7})
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]float64{
		"sam_sharpness": sam.Sharpness, "sam_sharpness_adaptive": adaptive.Sharpness,
		"keskar_sharpness": keskar.Sharpness, "keskar_sharpness_subspace": subspace.Sharpness,
	} {
		x, ok := got[name]
		if !ok || x != want {
			t.Errorf("%s is %v, want %v", name, x, want)
		}
		if x == usual[name] {
			t.Errorf("%s is %v with the default reach too", name, x)
		}
	}
}
