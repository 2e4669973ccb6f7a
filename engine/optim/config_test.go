package optim

import (
	"math"
	"strings"
	"testing"
)

func TestValidateAcceptsWhatTrains(t *testing.T) {
	for _, c := range []Config{
		{},
		{Name: "sgd", Momentum: 0.9, Nesterov: true, WeightDecay: 5e-4},
		{Name: "sgdw", WeightDecay: 0.1},
		{Name: "adam", Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 0.1},
		{Name: "adamw", Epsilon: 1e-8}, // of no memory: the sign of the gradient
		{Name: "sgld", Temperature: 1e-4, WeightDecay: 0.1},
		{Name: "sam", Momentum: 0.9, Rho: 0.1},
		{Name: "asam"},
		{Name: "sgd", Beta1: 7}, // another optimizer's
	} {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, lr := range []float64{0, 0.1, 100} {
		if err := ValidateLR(lr); err != nil {
			t.Error(err)
		}
	}
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, test := range []struct {
		c    Config
		want string
	}{
		{Config{Name: "sgwd"}, `did you mean "sgd"`},
		{Config{Name: "SGDW2"}, `did you mean "sgdw"`},
		{Config{Name: "adm"}, `did you mean "adam"? (one of sgd, sgdw, adam, adamw`},
		{Config{Name: "adam", Momentum: 0.9, Epsilon: 1}, "adam has no momentum"},
		{Config{Name: "adam", Beta1: 1, Epsilon: 1}, "beta1 1"},
		{Config{Name: "adamw", Beta2: -0.5, Epsilon: 1}, "beta2 -0.5"},
		{Config{Name: "adam", Beta2: nan, Epsilon: 1}, "beta2 NaN"},
		{Config{Name: "sgld"}, "temperature 0"},
		{Config{Name: "sgld", Temperature: inf}, "temperature +Inf"},
		{Config{Name: "sgld", Temperature: 1, Momentum: 0.9}, "sgld has no momentum"},
		{Config{Name: "adam"}, "epsilon 0"},
		{Config{Name: "sam", Rho: -1}, "rho -1"},
		{Config{Name: "asam", Rho: inf}, "rho +Inf"},
		{Config{Name: "adam", Epsilon: inf}, "epsilon +Inf"},
		{Config{Name: "adam", Epsilon: 1, WeightDecay: -1}, "weight decay -1"},
		{Config{Momentum: -0.1}, "momentum -0.1"},
		{Config{Momentum: 1}, "momentum 1"},
		{Config{Momentum: nan}, "momentum NaN"},
		{Config{WeightDecay: -1}, "weight decay -1"},
		{Config{WeightDecay: nan}, "weight decay NaN"},
		{Config{WeightDecay: inf}, "weight decay +Inf"},
		{Config{Nesterov: true}, "nesterov needs momentum"},
	} {
		err := test.c.Validate()
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v, want one line with %q", test.c, err, test.want)
		}
	}
	for _, lr := range []float64{-1, nan, inf} {
		if ValidateLR(lr) == nil {
			t.Errorf("rate %v is accepted", lr)
		}
	}
}

func TestUpdateCarriesTheConfig(t *testing.T) {
	got := Config{Name: SGDW, Momentum: 0.9, Nesterov: true, WeightDecay: 0.01}.Update(0.5)
	if want := (Update{LR: 0.5, Momentum: 0.9, WeightDecay: 0.01, Nesterov: true, Decoupled: true}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	adam := Config{Name: AdamW, Beta1: 0.8, Beta2: 0.99, Epsilon: 1e-6, WeightDecay: 0.01}.AdamUpdate(0.5, 4)
	if want := (AdamUpdate{LR: 0.5, Beta1: 0.8, Beta2: 0.99, Epsilon: 1e-6, WeightDecay: 0.01, Decoupled: true, Step: 5}); adam != want {
		t.Errorf("%+v, want %+v", adam, want)
	}
	if (Config{}).Update(1).Decoupled {
		t.Error("sgd decays decoupled")
	}
}
