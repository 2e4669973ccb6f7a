//go:build gpu && cgo && linux && amd64

package cuda

import "sgflow/engine/cuda/driver"

// kernelSet is the kernels of a module; kernels/*.cu says what each computes. The
// products are by orientation: 1 for B transposed, plus 2 for A.
type kernelSet struct {
	small, medium, large, tensor [4]driver.Kernel
	direct, gatherDirect         [2]driver.Kernel // by size of window, 3 and 5

	convForward, convInput                                                            driver.Kernel
	maxPool, maxPool2, poolScatter, poolScatter2, poolGather, avgPool, avgPoolAdjoint driver.Kernel
	unary, binary, scale, fill, addBias, transpose, result                            driver.Kernel
	columnSums, sampleTasks, sampleTiles, tasks, reduce, repeat                       driver.Kernel
	loss, denseLoss, softmaxRows, lossGrad, lossHess, denseHess, softmax              driver.Kernel
	dotTasks, gram, addMeans, scaleRows, square                                       driver.Kernel
	vectorSums, partSums, axpy, signs, update                                         driver.Kernel
	direction, ritzSolve, ritzFollow                                                  driver.Kernel
	gather, gatherMatMul, storeResults, readClock                                     driver.Kernel
}

// loadKernels finds all kernels in the module.
func loadKernels(module *driver.Module) (k kernelSet, err error) {
	for name, kernel := range map[string]*driver.Kernel{
		"matmul_nn_small": &k.small[0], "matmul_nt_small": &k.small[1], "matmul_tn_small": &k.small[2], "matmul_tt_small": &k.small[3],
		"matmul_nn_large": &k.large[0], "matmul_nt_large": &k.large[1], "matmul_tn_large": &k.large[2], "matmul_tt_large": &k.large[3],
		"matmul_nn_medium": &k.medium[0], "matmul_nt_medium": &k.medium[1], "matmul_tn_medium": &k.medium[2], "matmul_tt_medium": &k.medium[3],
		"matmul_nn_tensor": &k.tensor[0], "matmul_nt_tensor": &k.tensor[1], "matmul_tn_tensor": &k.tensor[2], "matmul_tt_tensor": &k.tensor[3],
		"direct_3": &k.direct[0], "direct_5": &k.direct[1], "gather_direct_3": &k.gatherDirect[0], "gather_direct_5": &k.gatherDirect[1],
		"conv_forward": &k.convForward, "conv_input": &k.convInput,
		"max_pool": &k.maxPool, "max_pool_2": &k.maxPool2, "pool_scatter": &k.poolScatter, "pool_scatter_2": &k.poolScatter2, "pool_gather": &k.poolGather,
		"avg_pool": &k.avgPool, "avg_pool_adjoint": &k.avgPoolAdjoint,
		"unary": &k.unary, "binary": &k.binary, "scale": &k.scale, "fill": &k.fill, "add_bias": &k.addBias,
		"transpose": &k.transpose, "result": &k.result,
		"column_sums": &k.columnSums, "sample_tasks": &k.sampleTasks, "sample_tiles": &k.sampleTiles, "tasks": &k.tasks, "reduce": &k.reduce, "repeat": &k.repeat,
		"loss": &k.loss, "dense_loss": &k.denseLoss, "softmax_rows": &k.softmaxRows, "loss_grad": &k.lossGrad, "loss_hess": &k.lossHess, "dense_hess": &k.denseHess, "softmax": &k.softmax,
		"dot_tasks": &k.dotTasks, "gram": &k.gram, "add_means": &k.addMeans,
		"scale_rows": &k.scaleRows, "square": &k.square,
		"vector_sums": &k.vectorSums, "part_sums": &k.partSums, "axpy": &k.axpy, "signs": &k.signs, "update": &k.update,
		"direction": &k.direction, "ritz_solve": &k.ritzSolve, "ritz_follow": &k.ritzFollow,
		"gather": &k.gather, "gather_matmul": &k.gatherMatMul, "store_results": &k.storeResults, "read_clock": &k.readClock,
	} {
		if *kernel, err = module.Kernel(name); err != nil {
			return k, err
		}
	}
	return k, nil
}
