package optim_test

import (
	"fmt"

	"sgflow/engine/optim"
)

func ExampleStep() {
	config := optim.Config{Momentum: 0.5}
	theta, velocity := []float64{1}, []float64{0}
	for range 3 { // minimise θ²/2, whose gradient is θ
		optim.Step(theta, []float64{theta[0]}, velocity, config.Update(0.5))
		fmt.Println(theta[0])
	}
	// Output:
	// 0.5
	// 0
	// -0.25
}

func ExampleParseSchedule() {
	s, err := optim.ParseSchedule("linear:0.2")
	s.Warmup = 2
	for step := range 6 {
		fmt.Printf("%.2f ", s.LR(1, step, 6))
	}
	fmt.Println(err)
	_, err = optim.ParseSchedule("cosin")
	fmt.Println(err)
	// Output:
	// 0.50 1.00 1.00 0.80 0.60 0.40 <nil>
	// optim: schedule "cosin" is unknown: did you mean "cosine"? (one of constant, step, cosine, linear, one-cycle)
}
