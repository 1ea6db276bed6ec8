// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

const (
	sumsFile = "SHA256SUMS"
	sbomTool = "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod"
)

// fixed are the variables that change what the Go compiler makes; a value of
// the user's would make another program of the same sources.
var fixed = []string{"CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly", "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=", "GOFIPS140=off"}

// completions are the files of each shell, as it looks for them.
var completions = map[string]string{"bash": "outlast.bash", "zsh": "_outlast", "fish": "outlast.fish", "powershell": "outlast.ps1"}

// stem is the name of what belongs to one platform, without its ending.
func (r *release) stem(platform string) string {
	return "outlast_" + r.version[1:] + "_" + strings.ReplaceAll(platform, "/", "_")
}

// program is where a platform's program is built to.
func (r *release) program(platform string) string {
	path := filepath.Join(r.work, r.stem(platform), "outlast")
	if strings.HasPrefix(platform, "windows/") {
		path += ".exe"
	}
	return path
}

// compile builds the program for a platform.
func (r *release) compile(ctx context.Context, platform string) error {
	goos, arch, ok := strings.Cut(platform, "/")
	if !ok {
		return fmt.Errorf("reading the platform %q: want OS/ARCH", platform)
	}
	_, err := output(ctx, r.root, append(slices.Clone(fixed), "GOOS="+goos, "GOARCH="+arch), "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -buildid= -X main.version="+r.version, "-o", r.program(platform), "./core/cmd/outlast")
	return err
}

// archives builds the program for each platform and packs it with what belongs to it.
func (r *release) archives(ctx context.Context) error {
	if len(r.platforms) == 0 {
		return errors.New("no platform was named")
	}
	common, err := r.common(ctx)
	if err != nil {
		return err
	}
	for _, platform := range r.platforms {
		if err := r.compile(ctx, platform); err != nil {
			return err
		}
		path := r.program(platform)
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		entries := append(slices.Clone(common), entry{filepath.Base(path), text, 0o755})
		endings := []string{".tar.gz"}
		if strings.HasPrefix(platform, "windows/") {
			endings = append(endings, ".zip")
		}
		for _, ending := range endings {
			if err := pack(filepath.Join(r.dist, r.stem(platform)+ending), entries, r.epoch); err != nil {
				return err
			}
		}
		say("%s: %.1f MB", platform, float64(len(text))/1e6)
	}
	return nil
}

// common are the entries of every archive beside the program.
func (r *release) common(ctx context.Context) (list []entry, err error) {
	for _, name := range []string{"LICENSE", "README.md"} {
		text, err := os.ReadFile(filepath.Join(r.root, name))
		if err != nil {
			return nil, err
		}
		list = append(list, entry{name, text, 0o644})
	}
	host := runtime.GOOS + "/" + runtime.GOARCH
	if err := r.compile(ctx, host); err != nil {
		return nil, err
	}
	for shell, name := range completions {
		text, err := output(ctx, r.work, nil, r.program(host), "completion", shell)
		if err != nil {
			return nil, err
		}
		if text == "" {
			return nil, fmt.Errorf("running outlast completion %s: it printed nothing", shell)
		}
		list = append(list, entry{"completions/" + name, []byte(text + "\n"), 0o644})
	}
	return list, nil
}

// materials writes a bill of materials (CycloneDX) of each program, as the
// program itself tells of its modules.
func (r *release) materials(ctx context.Context) error {
	tool := filepath.Join(r.work, "cyclonedx-gomod")
	if _, err := output(ctx, filepath.Join(r.root, ".ci", "tools"), fixed, "go", "build", "-trimpath", "-buildvcs=false", "-o", tool, sbomTool); err != nil {
		return err
	}
	for _, platform := range r.platforms {
		to := filepath.Join(r.dist, r.stem(platform)+".cdx.json")
		if _, err := output(ctx, r.work, nil, tool, "bin", "-json", "-noserial", "-notimestamp", "-std", "-version", r.version, "-output", to, r.program(platform)); err != nil {
			return err
		}
		if err := os.Chmod(to, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// sums writes SHA256SUMS of all files at the top of the release, and signs it
// where there is a key.
func (r *release) sums(ctx context.Context) error {
	if err := writeSums(r.dist); err != nil {
		return err
	}
	if err := r.pinned(); err != nil {
		return err
	}
	return r.sign(ctx)
}

// pinFile holds the release that the checkout's wrappers are pinned to.
const pinFile = "core/internal/gen/release.json"

// pinned compares the checkout's pins with the sums that were made: a tag whose
// wrappers want other archives could not be installed.
func (r *release) pinned() error {
	text, err := os.ReadFile(filepath.Join(r.root, pinFile))
	if err != nil {
		return err
	}
	var pins struct {
		Version string
		Sums    []struct{ Asset, SHA256 string }
	}
	if err := json.Unmarshal(text, &pins); err != nil {
		return fmt.Errorf("reading %s: %w", pinFile, err)
	}
	if pins.Version != r.version {
		say("the checkout is not pinned to %s yet: docs/release.md says how", r.version)
		return nil
	}
	made, err := os.ReadFile(filepath.Join(r.dist, sumsFile))
	if err != nil {
		return err
	}
	if len(pins.Sums) == 0 {
		return fmt.Errorf("comparing with %s: it is pinned to %s without any sum", pinFile, r.version)
	}
	for _, pin := range pins.Sums {
		if !strings.Contains("\n"+string(made), "\n"+pin.SHA256+"  "+pin.Asset+"\n") {
			return fmt.Errorf("comparing with %s: the checkout is pinned to %s with another sum of %s: was it made by another Go, or did the content change? Pin it anew, or release another version", pinFile, r.version, pin.Asset)
		}
	}
	say("the checkout is pinned to these sums: tag it %s", r.version)
	return nil
}

func writeSums(dir string) error {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, e := range entries {
		if e.IsDir() || e.Name() == sumsFile {
			continue
		}
		sum, err := hash(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s  %s\n", sum, e.Name())
	}
	return os.WriteFile(filepath.Join(dir, sumsFile), []byte(b.String()), 0o644)
}

func hash(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, bufio.NewReader(f)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// sign signs SHA256SUMS with minisign when MINISIGN_KEY names a secret key.
func (r *release) sign(ctx context.Context) error {
	key := os.Getenv("MINISIGN_KEY")
	if key == "" {
		say("%s is unsigned: MINISIGN_KEY names no key", sumsFile)
		return nil
	}
	if _, err := exec.LookPath("minisign"); err != nil {
		return fmt.Errorf("signing %s: MINISIGN_KEY is set, but minisign is not on PATH", sumsFile)
	}
	sums := filepath.Join(r.dist, sumsFile)
	cmd := command(ctx, r.dist, nil, "minisign", "-S", "-s", key, "-m", sums, "-x", sums+".minisig", "-t", "outlast "+r.version)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stderr, os.Stderr // it asks for the key's password
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("signing %s: %w", sumsFile, err)
	}
	return nil
}
