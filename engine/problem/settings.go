package problem

import "sgflow/engine/request"

// The losses, as the contract defines them.
const (
	CrossEntropy = "cross-entropy"
	MSE          = "mse"
)

// The element types of a run.
const (
	Float32 = "float32"
	Float64 = "float64"
	// TF32 is a value of the precision setting, which has Float32 too.
	TF32 = "tf32"
)

// Problem is a loss surface and a point on it: data, model, loss and initial
// weights, and what computes them. The JSON names are the names of the command
// line's flags and of a configuration file's keys; the help tags are their
// descriptions.
type Problem struct {
	Model     string `json:"model" help:"Model: mlp, cnn, lenet5, or a spec such as mlp:784-100-10,act=tanh or cnn:conv8k3,relu,maxpool2,fc10."`
	Data      string `json:"data" help:"Data set: mnist, fashion-mnist, kmnist, emnist-balanced, cifar10, or a folder of IDX files."`
	Limit     int    `json:"limit" help:"Use the first N training samples only; 0 is all."`
	Normalize bool   `json:"normalize" help:"Subtract the training set's mean from the pixels and divide by its deviation."`
	Loss      string `json:"loss" help:"Loss: cross-entropy or mse."`
	Device    string `json:"device" help:"Where to compute: auto, cpu, cuda or cuda:N."`
	DType     string `json:"dtype" name:"dtype" help:"Number type: float32 or float64."`
	Precision string `json:"precision" help:"Accuracy of a GPU's matrix products: float32, or tf32 (factors of 10 bits of mantissa), faster for large ones."`
	Threads   int    `json:"threads" help:"CPU threads; 0 is all cores. Results do not depend on it."`
	Seed      uint64 `json:"seed" help:"Seed of initial weights, batches and probes."`
	Weights   string `json:"weights" help:"Start from the weights in this safetensors file."`
}

// Default returns the problem of which nothing is asked.
func Default() Problem {
	return Problem{
		Model: "mlp", Data: "mnist", Loss: CrossEntropy, Device: deviceAuto, DType: Float32, Precision: Float32,
	}
}

// Validate returns a request.Error that names the first setting that no run
// can have, by its flag, and nil where all are sound. What depends on the data
// is checked by Open.
func (p *Problem) Validate() error {
	switch {
	case p.Loss != CrossEntropy && p.Loss != MSE:
		return request.Unknown("loss", p.Loss, CrossEntropy, MSE)
	case p.DType != Float32 && p.DType != Float64:
		return request.Unknown("dtype", p.DType, Float32, Float64)
	case p.Precision != Float32 && p.Precision != TF32:
		return request.Unknown("precision", p.Precision, Float32, TF32)
	case p.Threads < 0:
		return request.BadValue("threads", p.Threads, "give 1 or more, or 0 for all cores")
	case p.Limit < 0:
		return request.BadValue("limit", p.Limit, "give 1 or more, or 0 for all samples")
	}
	return nil
}
