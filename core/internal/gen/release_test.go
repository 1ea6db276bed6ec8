// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outlast-ci/outlast/core/internal/cli/inputs"
)

var sumA, sumB = strings.Repeat("a", 64), strings.Repeat("b", 64)

func TestAReleaseIsReadFromItsSums(t *testing.T) {
	got, err := NewRelease("v1.2.3", "https://example.com/r/", sumA+"  outlast_1.2.3_linux_amd64.tar.gz\n"+sumB+" *outlast_1.2.3_windows_amd64.tar.gz\r\n"+
		sumB+"  outlast_1.2.3_windows_amd64.zip\n"+sumB+"  outlast_1.2.3_linux_amd64.cdx.json\n"+sumB+"  outlast_1.2.2_linux_amd64.tar.gz\n"+sumB+"  outlast-wrappers_1.2.3.tar.gz\n")
	if err != nil {
		t.Fatal(err)
	}
	want := Release{Version: "v1.2.3", Releases: "https://example.com/r", Sums: []Sum{{"outlast_1.2.3_linux_amd64.tar.gz", sumA}, {"outlast_1.2.3_windows_amd64.tar.gz", sumB}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var back Release
	if text, err := json.Marshal(got); err != nil || json.Unmarshal(text, &back) != nil || !cmp.Equal(got, back) {
		t.Errorf("%+v does not survive JSON: %+v", got, back)
	}
}

// What stands between quotes in a shell script must not end them.
func TestWhatIsNoRelease(t *testing.T) {
	line := sumA + "  outlast_1.2.3_linux_amd64.tar.gz\n"
	for name, c := range map[string][4]string{
		"a version without v":                {"1.2.3", "https://example.com", line, `reading the version "1.2.3"`},
		"a version after something else":     {"x'v1.2.3", "https://example.com", line, "reading the version"},
		"a version that ends the quotes":     {"v1.2.3'; reboot; '", "https://example.com", line, "reading the version"},
		"a version of two lines":             {"v1.2.3\nx", "https://example.com", line, "reading the version"},
		"an address that is none":            {"v1.2.3", "example.com", line, "reading the address"},
		"an address that ends the quotes":    {"v1.2.3", "https://example.com/'$(reboot)", line, "reading the address"},
		"an address with a CI's own marks":   {"v1.2.3", "https://example.com/${{ x }}", line, "reading the address"},
		"no sums":                            {"v1.2.3", "https://example.com", "", "none is of an archive outlast_1.2.3_OS_ARCH.tar.gz"},
		"sums of another version":            {"v1.2.4", "https://example.com", line, "none is of an archive"},
		"a version whose dots are no dots":   {"v1.2.3", "https://example.com", sumA + "  outlast_1x2x3_linux_amd64.tar.gz\n", "none is of an archive"},
		"a line that is no sum":              {"v1.2.3", "https://example.com", line + "<html>\n", "is no line of sha256sum"},
		"a sum that is too short":            {"v1.2.3", "https://example.com", sumA[1:] + "  outlast_1.2.3_linux_amd64.tar.gz\n", "is no line of sha256sum"},
		"an asset whose name ends a quote":   {"v1.2.3", "https://example.com", sumA + "  outlast_1.2.3_linux_amd64'.tar.gz\n", "is no line of sha256sum"},
		"an asset in a folder of the mirror": {"v1.2.3", "https://example.com", sumA + "  ../outlast_1.2.3_linux_amd64.tar.gz\n", "is no line of sha256sum"},
	} {
		t.Run(name, func(t *testing.T) {
			if r, err := NewRelease(c[0], c[1], c[2]); err == nil || !strings.Contains(err.Error(), c[3]) {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// Every wrapper downloads the release that it was made for.
func TestAReleasesPinsReachEveryWrapper(t *testing.T) {
	made, err := Files(inputs.Table, Release{Version: "v1.2.3", Releases: "https://example.com/r", Sums: []Sum{{"outlast_1.2.3_linux_amd64.tar.gz", sumA}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"actions/run.sh", "actions/setup/setup.sh", "actions/check/run.sh", component, orb + "scripts/run.sh", "codebuild/buildspec.yml", "jenkins/resources/outlast/run.sh"} {
		text := string(made[path])
		for _, want := range []string{"version='v1.2.3'", "releases='https://example.com/r'", sumA + "  outlast_1.2.3_linux_amd64.tar.gz"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s has no %s", path, want)
			}
		}
	}
}

func TestAReadmeSaysWhatIsDownloaded(t *testing.T) {
	made, err := Files(inputs.Table, Release{Version: "v1.2.3", Releases: "https://example.com/r", Sums: []Sum{{"outlast_1.2.3_linux_amd64.tar.gz", sumA}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"actions", "circleci-orb", "codebuild", "gitlab", "jenkins"} {
		text := string(made[dir+"/README.md"])
		if strings.Contains(text, "There is no release yet") || !strings.Contains(text, "Release v1.2.3 is downloaded") {
			t.Errorf("%s/README.md does not say that v1.2.3 is downloaded", dir)
		}
	}
}

// made makes a release of this checkout for this platform, by the program that
// makes the real ones.
func made(t *testing.T, version string) string {
	t.Helper()
	for _, tool := range []string{"go", "git"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not on PATH")
		}
	}
	if err := exec.Command("git", "-C", root, "rev-parse", "HEAD").Run(); err != nil {
		t.Skip("this is no git checkout")
	}
	dist := filepath.Join(t.TempDir(), "dist")
	cmd := exec.CommandContext(t.Context(), "go", "run", ".", "--version", version, "--to", dist, "--platforms", runtime.GOOS+"/"+runtime.GOARCH, "--image", "no", "--dirty")
	cmd.Dir, cmd.Env = filepath.Join(root, ".ci", "release"), append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "MINISIGN_KEY=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dist
}

// TestTheReleaseIsInstalled lets each wrapper's own get-outlast, as the release
// pins it, install the program out of the release's archives.
func TestTheReleaseIsInstalled(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it makes a whole release")
	}
	const version = "v9.8.7"
	dist := made(t, version)
	s := httptest.NewServer(http.StripPrefix("/"+version, http.FileServer(http.Dir(dist))))
	t.Cleanup(s.Close)
	sums, err := os.ReadFile(filepath.Join(dist, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(sums)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		text, err := os.ReadFile(filepath.Join(dist, name))
		if got := sha256.Sum256(text); err != nil || hex.EncodeToString(got[:]) != sum {
			t.Errorf("%s is not what SHA256SUMS says (%v)", name, err)
		}
	}
	release, err := NewRelease(version, s.URL, string(sums))
	if err != nil {
		t.Fatal(err)
	}
	script, err := GetOutlast(release)
	if err != nil {
		t.Fatal(err)
	}
	// the wrappers of the release carry the same script, but for the server's address
	carried, err := os.ReadFile(filepath.Join(dist, "wrappers", "actions", "setup", "setup.sh"))
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(script), "\n")
	if !strings.Contains(string(carried), strings.TrimSpace(strings.Replace(body, s.URL, Project, 1))) {
		t.Error("actions/setup/setup.sh of the release is not pinned as get-outlast is")
	}
	m := newMachine(t, "")
	m.script = m.write("get-outlast", string(script), 0o755)
	m.run()
	at := filepath.Join(m.dir, "home/.cache/outlast", version+"-"+runtime.GOOS+"-"+runtime.GOARCH, "outlast")
	if m.code != 0 || m.stdout != at+"\n" || !strings.Contains(m.stderr, "whose SHA-256 is right") {
		t.Fatalf("exit %d, printed %q, said %s", m.code, m.stdout, m.stderr)
	}
	if out, err := exec.Command(at, "version").Output(); err != nil || strings.TrimSpace(string(out)) != version {
		t.Errorf("what was installed says it is %q (%v)", out, err)
	}
}
