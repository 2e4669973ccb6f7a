package measure

// Reach is how far the quantities go that leave θ to see how the loss rises
// around it. Zero values are the defaults, which are those of the papers.
type Reach struct {
	SAM            float64 // ρ of sam_sharpness; default DefaultRho
	AdaptiveSAM    float64 // ρ of sam_sharpness_adaptive; default DefaultAdaptiveRho
	Keskar         float64 // ε of keskar_sharpness; default DefaultBox
	KeskarSubspace int     // dimensions of keskar_sharpness_subspace; default DefaultSubspace
}

func (r *Reach) setDefaults() {
	r.SAM = above(r.SAM, DefaultRho)
	r.AdaptiveSAM = above(r.AdaptiveSAM, DefaultAdaptiveRho)
	r.Keskar = above(r.Keskar, DefaultBox)
	r.KeskarSubspace = above(r.KeskarSubspace, DefaultSubspace)
}

// above is x where it is above zero, else def.
func above[N int | float64](x, def N) N {
	if x > 0 {
		return x
	}
	return def
}
