// SPDX-License-Identifier: Apache-2.0

// Package figure draws an experiment: pods, targets and failed requests of one
// rollout in each setting, and the loss curve. In goes what was measured; out
// come files, an SVG and a PNG of each picture, which are drawn by the same calls.
package figure

import (
	"bytes"
	"fmt"
	"image/color"
	"os"

	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	xfont "golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Colours that people with any colour vision tell apart (Okabe and Ito), and greys.
var (
	black  = color.RGBA{0x22, 0x22, 0x22, 0xff}
	grey   = color.RGBA{0x77, 0x77, 0x77, 0xff}
	pale   = color.RGBA{0xdd, 0xdd, 0xdd, 0xff}
	faint  = color.RGBA{0xee, 0xee, 0xee, 0xff}
	blue   = color.RGBA{0x00, 0x72, 0xb2, 0xff}
	sky    = color.RGBA{0x9c, 0xcf, 0xee, 0xff}
	green  = color.RGBA{0x00, 0x9e, 0x73, 0xff}
	amber  = color.RGBA{0xf0, 0xb4, 0x2a, 0xff}
	red    = color.RGBA{0xc8, 0x1e, 0x1e, 0xff}
	violet = color.RGBA{0x8a, 0x3f, 0x8f, 0xff}
	orange = color.RGBA{0xf0, 0x7d, 0x1a, 0xff}
)

// canvas counts in points from the upper left corner.
type canvas struct {
	vg.Canvas
	height float64
	fonts  *font.Cache
}

// Sizes of text, in points, and the resolution of the PNG.
const (
	small  = 10.5
	normal = 12
	large  = 14
	dpi    = 144
)

func fonts() (*font.Cache, error) {
	var all font.Collection
	for weight, raw := range map[xfont.Weight][]byte{xfont.WeightNormal: liberationsansregular.TTF, xfont.WeightBold: liberationsansbold.TTF} {
		face, err := opentype.Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("reading a font: %w", err)
		}
		all = append(all, font.Face{Font: font.Font{Typeface: "Liberation", Variant: "Sans", Weight: weight}, Face: face})
	}
	return font.NewCache(all), nil
}

// save draws a picture twice, into path.svg and path.png.
func save(path string, width, height float64, draw func(*canvas)) error {
	cache, err := fonts()
	if err != nil {
		return err
	}
	w, h := vg.Points(width), vg.Points(height)
	svg := vgsvg.New(w, h)
	c := &canvas{svg, height, cache}
	c.fill(0, 0, width, height, color.White) // a page may be dark
	draw(c)
	var text bytes.Buffer
	if _, err := svg.WriteTo(&text); err != nil {
		return fmt.Errorf("drawing %s.svg: %w", path, err)
	}
	// Few have the font that the widths were computed with; these are as wide.
	plain := bytes.ReplaceAll(text.Bytes(), []byte("font-family:Liberation Sans"), []byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif"))
	if err := os.WriteFile(path+".svg", plain, 0o644); err != nil {
		return err
	}
	img := vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(dpi), vgimg.UseBackgroundColor(color.White))
	draw(&canvas{img, height, cache})
	var pixels bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: img}).WriteTo(&pixels); err != nil {
		return fmt.Errorf("drawing %s.png: %w", path, err)
	}
	return os.WriteFile(path+".png", pixels.Bytes(), 0o644)
}

func (c *canvas) at(x, y float64) vg.Point {
	return vg.Point{X: vg.Points(x), Y: vg.Points(c.height - y)}
}

func (c *canvas) fill(x, y, w, h float64, with color.Color) {
	if w <= 0 || h <= 0 {
		return
	}
	var p vg.Path
	p.Move(c.at(x, y))
	p.Line(c.at(x+w, y))
	p.Line(c.at(x+w, y+h))
	p.Line(c.at(x, y+h))
	p.Close()
	c.SetColor(with)
	c.Fill(p)
}

// line through points x, y, x, y, …; dash of 0 is a solid one.
func (c *canvas) line(width, dash float64, with color.Color, xy ...float64) {
	var p vg.Path
	p.Move(c.at(xy[0], xy[1]))
	for i := 2; i < len(xy); i += 2 {
		p.Line(c.at(xy[i], xy[i+1]))
	}
	c.SetLineWidth(vg.Points(width))
	c.SetLineDash(nil, 0)
	if dash > 0 {
		c.SetLineDash([]vg.Length{vg.Points(dash), vg.Points(dash)}, 0)
	}
	c.SetColor(with)
	c.Stroke(p)
	c.SetLineDash(nil, 0)
}

func (c *canvas) dot(x, y, radius float64, with color.Color) {
	var p vg.Path
	center := c.at(x, y)
	p.Move(vg.Point{X: center.X + vg.Points(radius), Y: center.Y})
	p.Arc(center, vg.Points(radius), 0, 6.283185307)
	p.Close()
	c.SetColor(with)
	c.Fill(p)
}

// align of a text to its x.
type align float64

const (
	left   align = 0
	center align = 0.5
	right  align = 1
)

// text on the baseline y; it returns its width.
func (c *canvas) text(x, y, size float64, bold bool, a align, with color.Color, words string) float64 {
	f := font.Font{Typeface: "Liberation", Variant: "Sans"}
	if bold {
		f.Weight = xfont.WeightBold
	}
	face := c.fonts.Lookup(f, vg.Points(size))
	width := face.Width(words).Points()
	c.SetColor(with)
	c.FillString(face, c.at(x-float64(a)*width, y), words)
	return width
}
