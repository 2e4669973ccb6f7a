package train

import (
	"math"

	"sgflow/engine/measure"
	"sgflow/engine/request"
)

// Reach is how far the quantities go that leave the weights to see how the loss
// rises around them (see [measure.Reach]).
type Reach struct {
	SAMRho         float64 `json:"sam-rho" name:"sam-rho" help:"Radius ρ of the quantity sam_sharpness; that of --optimizer sam is --rho."`
	SAMAdaptiveRho float64 `json:"sam-adaptive-rho" name:"sam-adaptive-rho" help:"Radius ρ of the quantity sam_sharpness_adaptive; that of --optimizer asam is --rho."`
	KeskarEpsilon  float64 `json:"keskar-epsilon" help:"Half side ε of the boxes of keskar_sharpness and keskar_sharpness_subspace."`
	KeskarSubspace int     `json:"keskar-subspace" help:"Dimensions of the random subspace of keskar_sharpness_subspace."`
}

func defaultReach() Reach {
	return Reach{
		SAMRho: measure.DefaultRho, SAMAdaptiveRho: measure.DefaultAdaptiveRho,
		KeskarEpsilon: measure.DefaultBox, KeskarSubspace: measure.DefaultSubspace,
	}
}

// validate returns a request.Error for the first setting that is out of range.
func (r *Reach) validate() error {
	for _, length := range []struct {
		flag  string
		value float64
	}{
		{"sam-rho", r.SAMRho},
		{"sam-adaptive-rho", r.SAMAdaptiveRho},
		{"keskar-epsilon", r.KeskarEpsilon},
	} {
		if !(length.value > 0) || math.IsInf(length.value, 0) {
			return request.BadValue(length.flag, length.value, "give a number above 0")
		}
	}
	if r.KeskarSubspace < 1 {
		return request.BadValue("keskar-subspace", r.KeskarSubspace, "give 1 or more")
	}
	return nil
}

// reach is r as package measure takes it.
func (r *Reach) reach() measure.Reach {
	return measure.Reach{
		SAM: r.SAMRho, AdaptiveSAM: r.SAMAdaptiveRho,
		Keskar: r.KeskarEpsilon, KeskarSubspace: r.KeskarSubspace,
	}
}
