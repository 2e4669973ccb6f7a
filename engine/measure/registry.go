package measure

// quantities is the registry, in the order in which quantities are measured
// and logged.
var quantities = []*Quantity{
	&gradNormSq,
	&gradVarTrace,
	&gradNormSqUnbiased,
	&noiseScale,
	&noiseScaleEMA,
	&noiseScaleInterval,
	&fisherTrace,
	&gradCosine,
	&sampleNorms,
	&normTest,
	&innerProductTest,
	&orthogonalityTest,
	&gsnr,
	&paramVariance,
	&temperature,
	&cabs,
	&distance,
	&updateSize,
	&alpha,
	&lambdaMax,
	&trace,
	&batchSharpness,
	&ticTrace,
	&noiseCurvature,
	&frobenius,
	&traceHutchPP,
	&lambdaMin,
	&ggnTrace,
	&ggnLambdaMax,
	&fisherLambdaMax,
	&fisherMCTrace,
	&fisherMCLambdaMax,
	&batchSharpnessMean,
	&stepSharpness,
	&samSharpness,
	&samSharpnessAdaptive,
	&keskarSharpness,
	&keskarSharpnessSubspace,
	&perturbedLoss,
}

// Quantities returns the registry: all that can be measured, in the order of
// the log. The entries are not to be changed.
func Quantities() []*Quantity { return quantities }
