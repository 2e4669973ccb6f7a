package figure

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"io"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// The look of animations: pixels per inch, and how long a frame and the last one
// stay, in hundredths of a second.
const (
	animationDPI = 100
	frameDelay   = 8
	lastDelay    = 250
)

// Animate writes an animated GIF of 800×500 pixels in which the paths grow over the
// contours: frame k of n shows them up to the share k/(n−1) of the longest time.
// The second line of the title tells the time. progress is called before every
// frame. It ends with the context's error where that is cancelled.
func (c *Contours) Animate(ctx context.Context, w io.Writer, title string, n int, progress func(done, total int)) error {
	if n < 2 {
		return fmt.Errorf("figure: an animation of %d frames: give 2 or more", n)
	}
	f, err := c.ground([]string{title, " "})
	if err != nil {
		return err
	}
	canvas := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(animationDPI))
	whole := vgdraw.New(canvas)
	area := f.draw(whole)
	ground := image.NewRGBA(canvas.Image().Bounds())
	draw.Draw(ground, ground.Bounds(), canvas.Image(), image.Point{}, draw.Src)

	end := 0.0
	for _, t := range c.Tracks {
		if len(t.Points) > 0 {
			end = max(end, t.Points[len(t.Points)-1].T)
		}
	}
	style := f.plot.Title.TextStyle
	style.XAlign, style.YAlign = vgdraw.XCenter, vgdraw.YTop
	frame := func(k int) image.Image {
		draw.Draw(canvas.Image(), ground.Bounds(), ground, image.Point{}, draw.Src)
		at := end * float64(k) / float64(n-1)
		data := f.plot.DataCanvas(area)
		tracks{c.Tracks, at * (1 + 1e-12)}.Plot(data, f.plot)
		first := style.Height(title)
		whole.FillText(style, vg.Point{X: area.Center().X, Y: area.Max.Y - first - vg.Points(2)}, fmt.Sprintf("t = %s", clockText(at, end)))
		return canvas.Image()
	}
	palette := commonColours(frame(n-1), frame(n/2))
	index := colourIndex{palette: palette, known: map[uint32]uint8{}}
	g := &gif.GIF{LoopCount: 0}
	var last *image.Paletted
	for k := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		progress(k, n)
		picture := index.convert(frame(k))
		delay := frameDelay
		if k == n-1 {
			delay = lastDelay
		}
		g.Image = append(g.Image, changed(last, picture))
		g.Delay = append(g.Delay, delay)
		g.Disposal = append(g.Disposal, gif.DisposalNone)
		last = picture
	}
	if err := gif.EncodeAll(w, g); err != nil {
		return fmt.Errorf("figure: animation: %w", err)
	}
	return nil
}

// clockText prints a time with as many digits as its range needs.
func clockText(t, end float64) string {
	digits := 2 - int(math.Floor(math.Log10(max(end, 1e-9))))
	return strings.TrimSpace(fmt.Sprintf("%.*f", min(max(digits, 0), 9), t))
}

// commonColours returns the 256 most frequent colours of the pictures.
func commonColours(pictures ...image.Image) color.Palette {
	count := map[color.RGBA]int{}
	for _, p := range pictures {
		b := p.Bounds()
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for x := b.Min.X; x < b.Max.X; x++ {
				count[p.(*image.RGBA).RGBAAt(x, y)]++
			}
		}
	}
	list := make([]color.RGBA, 0, len(count))
	for c := range count {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b color.RGBA) int { // by colour among equals, so that files do not differ
		if count[a] != count[b] {
			return count[b] - count[a]
		}
		return int(key(a)) - int(key(b))
	})
	var palette color.Palette
	for _, c := range list[:min(len(list), 256)] {
		palette = append(palette, c)
	}
	return palette
}

func key(c color.RGBA) uint32 { return uint32(c.R)<<16 | uint32(c.G)<<8 | uint32(c.B) }

// colourIndex finds the nearest colours of a palette, each once.
type colourIndex struct {
	palette color.Palette
	known   map[uint32]uint8
}

func (x *colourIndex) convert(p image.Image) *image.Paletted {
	b := p.Bounds()
	out := image.NewPaletted(b, x.palette)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for at := b.Min.X; at < b.Max.X; at++ {
			c := p.(*image.RGBA).RGBAAt(at, y)
			i, ok := x.known[key(c)]
			if !ok {
				i = uint8(x.palette.Index(c))
				x.known[key(c)] = i
			}
			out.SetColorIndex(at, y, i)
		}
	}
	return out
}

// changed returns the least part of picture outside of which it is last: all of it
// where last is nil.
func changed(last, picture *image.Paletted) *image.Paletted {
	if last == nil {
		return picture
	}
	var box image.Rectangle
	b := picture.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if picture.ColorIndexAt(x, y) != last.ColorIndexAt(x, y) {
				box = box.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	if box.Empty() {
		box = image.Rect(b.Min.X, b.Min.Y, b.Min.X+1, b.Min.Y+1) // a frame has a pixel
	}
	return picture.SubImage(box).(*image.Paletted)
}
