// SPDX-License-Identifier: Apache-2.0

// Command release makes what a release of Outlast is: see docs/release.md. Two
// runs from one commit give the same bytes, wherever the checkout is.
//
//	release --root CHECKOUT --version v1.2.3 --to DIR [--releases URL]
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// platforms that get an archive: GOOS/GOARCH.
var platforms = []string{"darwin/amd64", "darwin/arm64", "linux/amd64", "linux/arm64", "windows/amd64", "windows/arm64"}

// release is one that is made.
type release struct {
	root, version, to, releases string
	bin                         string    // folder of cyclonedx-gomod and circleci
	work                        string    // temporary
	host                        string    // the program for this machine
	time                        time.Time // of every file in it: the commit's
}

func main() {
	var r release
	flag.StringVar(&r.root, "root", ".", "checkout of the project")
	flag.StringVar(&r.version, "version", "", "version, v1.2.3")
	flag.StringVar(&r.to, "to", "dist", "folder to make")
	flag.StringVar(&r.releases, "releases", "https://github.com/outlast-ci/outlast/releases/download", "where the assets will be, below URL/VERSION/")
	flag.StringVar(&r.bin, "bin", "bin", "folder of the tools")
	flag.Parse()
	if err := r.run(); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func (r *release) run() error {
	if !regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`).MatchString(r.version) {
		return fmt.Errorf("--version %q is not v1.2.3", r.version)
	}
	for _, path := range []*string{&r.root, &r.to, &r.bin} {
		var err error
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	seconds, err := r.seconds()
	if err != nil {
		return err
	}
	r.time = time.Unix(seconds, 0).UTC()
	if entries, err := os.ReadDir(r.to); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty: remove it, or name another folder", r.to)
	}
	if err := os.MkdirAll(r.to, 0o755); err != nil {
		return err
	}
	if r.work, err = os.MkdirTemp("", "outlast-release-"); err != nil {
		return err
	}
	defer os.RemoveAll(r.work)
	for _, step := range []func() error{r.archives, r.sums, r.wrappers, r.image, r.sign} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// seconds is the commit's time, or SOURCE_DATE_EPOCH outside a checkout.
func (r *release) seconds() (int64, error) {
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		return strconv.ParseInt(epoch, 10, 64)
	}
	out, err := exec.Command("git", "-C", r.root, "log", "-1", "--format=%ct", "HEAD").Output()
	if err != nil {
		return 0, fmt.Errorf("asking git for the commit's time (or set SOURCE_DATE_EPOCH): %w", err)
	}
	return strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
}

// archives makes outlast_VERSION_OS_ARCH.tar.gz, for Windows a .zip besides, and
// the bill of materials of each program.
func (r *release) archives() error {
	common, err := r.common()
	if err != nil {
		return err
	}
	for _, platform := range platforms {
		system, machine, _ := strings.Cut(platform, "/")
		program := "outlast"
		if system == "windows" {
			program += ".exe"
		}
		binary := filepath.Join(r.work, system+"-"+machine, program)
		if err := r.compile(system, machine, binary); err != nil {
			return err
		}
		text, err := os.ReadFile(binary)
		if err != nil {
			return err
		}
		files := append([]file{{program, text, 0o755}}, common...)
		name := filepath.Join(r.to, fmt.Sprintf("outlast_%s_%s_%s", strings.TrimPrefix(r.version, "v"), system, machine))
		if err := tarball(name+".tar.gz", files, r.time); err != nil {
			return err
		}
		if system == "windows" {
			if err := zipball(name+".zip", files, r.time); err != nil {
				return err
			}
		}
		if err := r.bill(binary, name+".cdx.json"); err != nil {
			return err
		}
	}
	return nil
}

// compile builds one program. Neither paths nor the state of git are in it.
func (r *release) compile(system, machine, to string) error {
	fmt.Fprintln(os.Stderr, "release: compiling for", system, machine)
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid= -X main.version="+r.version, "-o", to, "./core/cmd/outlast")
	cmd.Dir, cmd.Stderr = r.root, os.Stderr
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly", "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=", "GOOS="+system, "GOARCH="+machine)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("compiling for %s/%s: %w", system, machine, err)
	}
	return nil
}

// common are the files that every archive has besides the program: licence,
// README and the shells' completions, which a program for this machine writes.
func (r *release) common() (files []file, err error) {
	for _, name := range []string{"LICENSE", "README.md"} {
		text, err := os.ReadFile(filepath.Join(r.root, name))
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, text, 0o644})
	}
	r.host = filepath.Join(r.work, "outlast-host")
	out, err := exec.Command("go", "env", "GOHOSTOS", "GOHOSTARCH").Output()
	if err != nil {
		return nil, err
	}
	if err := r.compile(strings.Fields(string(out))[0], strings.Fields(string(out))[1], r.host); err != nil {
		return nil, err
	}
	for shell, name := range map[string]string{"bash": "outlast.bash", "zsh": "_outlast", "fish": "outlast.fish", "powershell": "outlast.ps1"} {
		text, err := exec.Command(r.host, "completion", shell).Output()
		if err != nil || len(text) == 0 {
			return nil, fmt.Errorf("writing the completion of %s: %w", shell, err)
		}
		files = append(files, file{"completions/" + name, text, 0o644})
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return files, nil
}

// bill writes what is linked into a program, in CycloneDX's form. The time and the
// serial number, which would be new each time, are left out.
func (r *release) bill(binary, to string) error {
	cmd := exec.Command(filepath.Join(r.bin, "cyclonedx-gomod"), "bin", "-json", "-noserial", "-notimestamp", "-std", "-version", r.version, binary)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("writing the bill of materials: %w: %s", err, stderr.String())
	}
	var bill map[string]any
	if err := json.Unmarshal(out, &bill); err != nil {
		return err
	}
	metadata, ok := bill["metadata"].(map[string]any)
	if !ok || len(bill["components"].([]any)) == 0 {
		return errors.New("writing the bill of materials: it names nothing")
	}
	if tools, ok := metadata["tools"].([]any); ok { // their own hashes differ by machine
		for _, tool := range tools {
			delete(tool.(map[string]any), "hashes")
		}
	}
	component := metadata["component"].(map[string]any)
	delete(component, "hashes") // the archive's is in SHA256SUMS
	text, err := json.MarshalIndent(bill, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(to, append(text, '\n'), 0o644)
}
