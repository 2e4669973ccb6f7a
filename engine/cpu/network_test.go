package cpu

import "sgflow/engine/program"

// network is a convolution with ReLU, a max pool and a dense layer under
// cross-entropy: forward, gradient, per-sample norms and Hessian-vector
// product, written out by hand. Parameters are w1, b1, w2, b2; the inputs are
// images and targets.
func network(g program.ConvGeom, pool program.PoolGeom, classes int) *program.Program {
	b := newBuilder()
	plane, features := g.OutH*g.OutW, pool.C*pool.OutH*pool.OutW
	imageSize, convSize, poolSize, logitSize := each(g.InC*g.InH*g.InW), each(g.OutC*plane), each(features), each(classes)
	x, y := b.input(imageSize), b.input(logitSize)
	w1, gw1, vw1, hw1, nw1 := b.param(g.OutC * g.InC * g.KH * g.KW)
	b1, gb1, vb1, hb1, nb1 := b.param(g.OutC)
	w2, gw2, vw2, hw2, nw2 := b.param(classes * features)
	b2, gb2, vb2, hb2, nb2 := b.param(classes)

	conv := func(dir program.ConvDir, out, a, w, norms program.BufferID, e program.Epilogue) program.Instr {
		return &program.Conv{Dir: dir, Geom: g, Out: out, A: a, B: w, Norms: norms, Epilogue: e}
	}
	// dense is out (+)= a·wᵀ + bias, weight out (+)= dᵀ·a, back out (+)= d·w.
	dense := func(out, a, w, bias program.BufferID, add bool) program.Instr {
		return &program.MatMul{Out: out, A: a, B: w, M: each(1), N: whole(classes), K: whole(features), TransB: true, Accumulate: add, Epilogue: program.Epilogue{Bias: bias, Mask: program.None}}
	}
	weight := func(out, d, a program.BufferID, add bool) program.Instr {
		return &program.MatMul{Out: out, A: d, B: a, M: whole(classes), N: whole(features), K: each(1), TransA: true, Accumulate: add, Epilogue: program.NoEpilogue}
	}
	back := func(out, d, w program.BufferID, add bool) program.Instr {
		return &program.MatMul{Out: out, A: d, B: w, M: each(1), N: whole(features), K: whole(classes), Accumulate: add, Epilogue: program.NoEpilogue}
	}
	scatter := func(out, index, d, mask program.BufferID) program.Instr {
		return &program.PoolScatter{Geom: pool, Out: out, Index: index, X: d, Mask: mask, MaskFunc: program.ReLU}
	}
	sum := func(out, d program.BufferID, channels, inner int) program.Instr {
		return &program.SumBias{Out: out, X: d, Outer: each(1), Channels: channels, Inner: inner}
	}

	h, p, index := b.temp(convSize), b.temp(poolSize), b.index(poolSize)
	b.Logits, b.Loss, b.Correct = b.temp(logitSize), b.scalar(), b.scalar()
	b.add(program.Forward,
		conv(program.ConvForward, h, x, w1, program.None, program.Epilogue{Bias: b1, Func: program.ReLU, Mask: program.None}),
		&program.MaxPool{Geom: pool, Out: p, Index: index, X: h},
		dense(b.Logits, p, w2, b2, false),
		&program.Loss{Out: b.Loss, Z: b.Logits, Y: y, Classes: classes},
		&program.Correct{Out: b.Correct, Z: b.Logits, Y: y, Classes: classes})
	dz, dp, dh := b.temp(logitSize), b.temp(poolSize), b.temp(convSize)
	b.add(program.Gradient,
		&program.LossGrad{Out: dz, Z: b.Logits, Y: y, G: program.None, Classes: classes},
		weight(gw2, dz, p, false),
		sum(gb2, dz, classes, 1),
		back(dp, dz, w2, false),
		scatter(dh, index, dp, p),
		conv(program.ConvWeight, gw1, x, dh, nw1, program.NoEpilogue),
		sum(gb1, dh, g.OutC, plane))
	b.add(program.Noise,
		&program.DenseNorms{Norms: nw2, A: dz, B: p, ACols: classes, BCols: features},
		&program.BiasNorms{Norms: nb2, X: dz, Channels: classes, Inner: 1},
		&program.BiasNorms{Norms: nb1, X: dh, Channels: g.OutC, Inner: plane})
	rows := func(k, width int) program.BufferID {
		id := b.buffer(program.Buffer{Role: program.SampleRows, Batched: true, Shape: []int{width}})
		b.Params[k].Factors = &program.Factors{A: id, B: program.None}
		return id
	}
	b.add(program.Samples,
		&program.ConvSamples{Geom: g, Out: rows(0, b.Params[0].Size), A: x, B: dh},
		&program.BiasSamples{Out: rows(1, g.OutC), X: dh, Channels: g.OutC, Inner: plane})
	b.Params[2].Factors = &program.Factors{A: dz, B: p}
	b.Params[3].Factors = &program.Factors{A: dz, B: program.None}
	// What every product reads: a copy of the mask's outputs.
	mask := b.temp(poolSize)
	b.add(program.Curvature, &program.Copy{Out: mask, X: p, Size: poolSize})
	rh, rp, rz, rdz, rdp, rdh := b.temp(convSize), b.temp(poolSize), b.temp(logitSize), b.temp(logitSize), b.temp(poolSize), b.temp(convSize)
	b.add(program.HessianProduct,
		conv(program.ConvForward, rh, x, vw1, program.None, program.Epilogue{Bias: vb1, Mask: h, MaskFunc: program.ReLU}),
		&program.PoolGather{Geom: pool, Out: rp, Index: index, X: rh},
		dense(rz, rp, w2, program.None, false),
		dense(rz, p, vw2, vb2, true),
		&program.LossHess{Out: rdz, Z: b.Logits, U: rz, G: program.None, Classes: classes},
		weight(hw2, rdz, p, false),
		weight(hw2, dz, rp, true),
		sum(hb2, rdz, classes, 1),
		back(rdp, rdz, w2, false),
		back(rdp, dz, vw2, true),
		scatter(rdh, index, rdp, mask),
		conv(program.ConvWeight, hw1, x, rdh, program.None, program.NoEpilogue),
		sum(hb1, rdh, g.OutC, plane))
	return &b.Program
}

// smallNetwork has odd sizes everywhere.
func smallNetwork() *program.Program {
	return network(
		program.ConvGeom{InC: 2, InH: 7, InW: 6, OutC: 3, OutH: 7, OutW: 6, KH: 3, KW: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, DilH: 1, DilW: 1},
		program.PoolGeom{C: 3, InH: 7, InW: 6, OutH: 3, OutW: 3, KH: 2, KW: 2, StrideH: 2, StrideW: 2}, 5)
}
