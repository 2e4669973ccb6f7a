//go:build gpu && cgo && linux && amd64

package cuda

import (
	"sgflow/engine/cuda/driver"
	"sgflow/engine/program"
)

// pooling is what the pool instructions share.
type pooling struct {
	m             *Machine
	what          string
	kernel        driver.Kernel
	g             program.PoolGeom
	out, x, index operand
	mask          operand
	df            program.Func
}

// bindPooling resolves the operands of an instruction that goes from planes to
// pooled planes or, with adjoint, back.
func bindPooling(b *binder, name string, k driver.Kernel, g program.PoolGeom, out, x program.BufferID, adjoint bool) *pooling {
	if g.StrideH < 1 || g.StrideW < 1 || g.OutH != (g.InH+2*g.PadH-g.KH)/g.StrideH+1 || g.OutW != (g.InW+2*g.PadW-g.KW)/g.StrideW+1 {
		b.fail("the windows do not make %d×%d outputs", g.OutH, g.OutW)
	}
	from, to := each(g.C*g.InH*g.InW), pooled(g)
	if adjoint {
		from, to = to, from
	}
	return &pooling{m: b.m, what: b.what(name), kernel: k, g: g, out: b.real(out, to), x: b.real(x, from)}
}

// pooled is the size of a pool's result.
func pooled(g program.PoolGeom) program.Extent { return each(g.C * g.OutH * g.OutW) }

// tiles reports whether the windows are the 2×2 tiles of planes whose rows of two floats can
// be had at once, of the array on the side of the planes.
func (p *pooling) tiles(planes operand) bool {
	g := p.g
	return g.KH == 2 && g.KW == 2 && g.StrideH == 2 && g.StrideW == 2 && g.PadH == 0 && g.PadW == 0 &&
		g.InH == 2*g.OutH && g.InW == 2*g.OutW && planes.p%8 == 0
}

// launchTiles queues a kernel with a thread for each of windows' tiles.
func (p *pooling) launchTiles(k driver.Kernel, windows int, own ...driver.Arg) {
	p.m.launch(p.what, k, elements(windows), append(own, driver.Int(windows), driver.Int(p.g.OutH), driver.Int(p.g.OutW))...)
}

// launch queues the kernel with a thread for each element of out: its own
// arguments, the number of elements and the geometry.
func (p *pooling) launch(n int, own ...driver.Arg) {
	g, size := p.g, p.out.size(n)
	args := append(own, driver.Int(size), driver.Int(g.InH), driver.Int(g.InW), driver.Int(g.OutH), driver.Int(g.OutW),
		driver.Int(g.KH), driver.Int(g.KW), driver.Int(g.StrideH), driver.Int(g.StrideW), driver.Int(g.PadH), driver.Int(g.PadW))
	p.m.launch(p.what, p.kernel, elements(size), args...)
}

// elements is the grid of a thread for each of n elements.
func elements(n int) driver.Grid {
	return driver.Grid{Blocks: driver.Dim{X: blocks(n, 256)}, Threads: driver.Dim{X: 256}}
}

// fours is the grid of a thread for each four of n elements.
func fours(n int) driver.Grid { return elements(blocks(n, 4)) }

type maxPool struct{ *pooling }

func bindMaxPool(b *binder, in *program.MaxPool) bound {
	p := bindPooling(b, "maxpool", b.m.kernels.maxPool, in.Geom, in.Out, in.X, false)
	p.index = b.index(in.Index, pooled(in.Geom))
	return maxPool{p}
}

func (p maxPool) run(n int) {
	own := []driver.Arg{driver.Ptr(p.out.p), driver.Ptr(p.index.p), driver.Ptr(p.x.p)}
	if p.tiles(p.x) {
		p.launchTiles(p.m.kernels.maxPool2, p.out.size(n), own...)
		return
	}
	p.launch(n, own...)
}

type poolScatter struct{ *pooling }

func bindPoolScatter(b *binder, in *program.PoolScatter) bound {
	p := bindPooling(b, "pool_scatter", b.m.kernels.poolScatter, in.Geom, in.Out, in.X, true)
	p.index = b.index(in.Index, pooled(in.Geom))
	if in.Mask != program.None {
		p.mask, p.df = b.real(in.Mask, pooled(in.Geom)), b.maskOf(in.MaskFunc)
	}
	return poolScatter{p}
}

func (p poolScatter) run(n int) {
	own := []driver.Arg{driver.Ptr(p.out.p), driver.Ptr(p.x.p), driver.Ptr(p.index.p), driver.Ptr(p.mask.p), driver.Int(int(p.df))}
	if p.tiles(p.out) {
		p.launchTiles(p.m.kernels.poolScatter2, p.x.size(n), own...)
		return
	}
	p.launch(n, own...)
}

type poolGather struct{ *pooling }

func bindPoolGather(b *binder, in *program.PoolGather) bound {
	p := bindPooling(b, "pool_gather", b.m.kernels.poolGather, in.Geom, in.Out, in.X, false)
	p.index = b.index(in.Index, pooled(in.Geom))
	return poolGather{p}
}

func (p poolGather) run(n int) {
	p.launch(n, driver.Ptr(p.out.p), driver.Ptr(p.x.p), driver.Ptr(p.index.p))
}

type avgPool struct{ *pooling }

func bindAvgPool(b *binder, in *program.AvgPool) bound {
	k := b.m.kernels.avgPool
	if in.Adjoint {
		k = b.m.kernels.avgPoolAdjoint
	}
	return avgPool{bindPooling(b, "avgpool", k, in.Geom, in.Out, in.X, in.Adjoint)}
}

func (p avgPool) run(n int) { p.launch(n, driver.Ptr(p.out.p), driver.Ptr(p.x.p)) }
