// Command pictures makes the README's picture of a week's review anew from a directory
// that the demo left: the upper part of the page with twice as many dots, in at most 256
// colours, which for text on paper is less than half the bytes.
package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

const (
	out = "docs/pictures/week.png"
	// size is that of the window, in pixels of the page.
	size = "900,910"
	// most is how large the picture may be, in bytes.
	most = 200_000
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./tools/pictures DIR (which the demo left, with week.html)")
		os.Exit(2)
	}
	if err := take(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}

func take(demo string) error {
	page, err := filepath.Abs(filepath.Join(demo, "week.html"))
	if err != nil {
		return err
	}
	if _, err := os.Stat(page); err != nil {
		return err
	}
	shot, err := shoot(page)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, fewer(shot)); err != nil {
		return fmt.Errorf("write the picture: %w", err)
	}
	if b.Len() > most {
		return fmt.Errorf("the picture would have %d bytes, more than %d", b.Len(), most)
	}
	if err := os.WriteFile(out, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write the picture: %w", err)
	}
	fmt.Println(out)
	return nil
}

// shoot takes a picture of a page.
func shoot(page string) (image.Image, error) {
	dir, err := os.MkdirTemp("", "pictures-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "page.png")
	args := []string{
		"--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
		"--disable-sync", "--user-data-dir=" + filepath.Join(dir, "profile"), "--hide-scrollbars", "--window-size=" + size,
		"--force-device-scale-factor=2", "--screenshot=" + file,
	}
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // Chromium has none as root, and the page has no script
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if said, err := exec.CommandContext(ctx, "chromium", append(args, "file://"+page)...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("open %s in chromium: %w: %s", page, err, said)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return png.Decode(bytes.NewReader(b))
}

// fewer is the picture in its 256 most frequent colours; what has another gets the nearest.
func fewer(in image.Image) image.Image {
	counts := map[color.Color]int{}
	bounds := in.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			counts[in.At(x, y)]++
		}
	}
	// Of two that are as frequent the darker one comes first: the same page gives the same bytes.
	colours := slices.SortedFunc(maps.Keys(counts), func(a, b color.Color) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(number(a), number(b)))
	})
	palette := color.Palette(colours[:min(len(colours), 256)])
	nearest := map[color.Color]uint8{}
	for c := range counts {
		nearest[c] = uint8(palette.Index(c))
	}
	small := image.NewPaletted(bounds, palette)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			small.SetColorIndex(x, y, nearest[in.At(x, y)])
		}
	}
	return small
}

// number orders colours.
func number(c color.Color) uint64 {
	r, g, b, _ := c.RGBA()
	return uint64(r)<<32 | uint64(g)<<16 | uint64(b)
}
