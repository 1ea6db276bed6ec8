// SPDX-License-Identifier: Apache-2.0

package build

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outlast-ci/outlast/core/event"
)

const scratch = "FROM scratch\nCOPY a /a\n"

func TestCheck(t *testing.T) {
	dir := source(t, map[string]string{
		"Dockerfile": scratch, "sub/web.dockerfile": "# a comment\nARG BASE\n  from ${BASE} AS x\n", "bom/Dockerfile": "\xef\xbb\xbfFROM scratch\n",
		"crlf/Dockerfile": "FROM scratch\r\n", "empty/Dockerfile": "", "readme/Dockerfile": "# FROM here on\nFROM\nRUN FROM x\n",
		"folder/Dockerfile/x": "", "none/x": "", "ignored/Dockerfile": scratch, "ignored/.dockerignore": "*\n",
	})
	if err := os.Symlink(dir, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ context, dockerfile, want string }{
		"a plain Dockerfile":                                 {"", "", ""},
		"a Dockerfile of another name":                       {"", "sub/web.dockerfile", ""},
		"a Dockerfile outside of the context":                {"none", filepath.Join(dir, "Dockerfile"), ""},
		"a context behind a link":                            {"link", "", ""},
		"a byte order mark":                                  {"bom", "", ""},
		"lines that end the Windows way":                     {"crlf", "", ""},
		"an ignore file that covers the Dockerfile":          {"ignored", "", ""},
		"a context that is not there":                        {"nowhere", "", `building image "web": reading its context: stat `},
		"a context that is a file":                           {"Dockerfile", "", "is no folder"},
		"a context without a Dockerfile":                     {"none", "", "reading its Dockerfile (set dockerfile and context in outlast.yaml): open "},
		"a Dockerfile that is a folder":                      {"folder", "", "is a directory"},
		"a Dockerfile that is looked for in the context":     {"none", "Dockerfile", "none/Dockerfile"},
		"an empty Dockerfile":                                {"empty", "", "has no FROM line: is it a Dockerfile?"},
		"a Dockerfile that only talks of FROM, or leaves it": {"readme", "", "has no FROM line"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Check(context.Background(), World{}, Options{Name: "web", Context: filepath.Join(dir, tc.context), Dockerfile: tc.dockerfile})
			if tc.want == "" && err != nil {
				t.Error(err)
			} else if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Check(ctx, World{}, Options{Context: dir}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled check says %v", err)
	}
}

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestLayoutDigest(t *testing.T) {
	for name, tc := range map[string]struct{ index, want, err string }{
		"one image":                    {`{"manifests":[{"digest":"` + digest + `"}]}`, digest, ""},
		"no image":                     {`{"manifests":[]}`, "", "it names 0 images, want one"},
		"two images":                   {`{"manifests":[{"digest":"` + digest + `"},{"digest":"` + digest + `"}]}`, "", "it names 2 images, want one"},
		"a digest of another kind":     {`{"manifests":[{"digest":"md5:1"}]}`, "", "want one"},
		"an index that is cut off":     {`{"manifests":[{"dig`, "", "reading the layout's index: unexpected end"},
		"a layout that was never made": {"", "", "reading the layout: open"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if tc.index != "" {
				write(t, filepath.Join(dir, "index.json"), tc.index, 0o644)
			}
			got, err := layoutDigest(dir)
			if got != tc.want || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%q, %v; want %q, %q", got, err, tc.want, tc.err)
			}
		})
	}
}

// client is a buildctl or docker that notes what it is told, one argument a
// line, and then does what the shell text says. makes is such a text: it makes
// the layout.
func client(then string) string {
	return `PATH=/usr/bin:/bin; for a in "$@"; do echo "$a" >>"$0.args"; done; env >"$0.env"; ` + then
}

func makes(layout string) string {
	return `mkdir -p ` + layout + ` && echo '{"manifests":[{"digest":"` + digest + `"}]}' >` + layout + `/index.json`
}

func told(t *testing.T, program string) []string {
	t.Helper()
	text, err := os.ReadFile(program + ".args")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// TestArguments: everything that Options say reaches the builder, in an order
// that does not change.
func TestArguments(t *testing.T) {
	full := Options{Dockerfile: "deploy/web.dockerfile", Target: "prod", Platform: "linux/arm64", NoCache: true, Epoch: time.Unix(1700000000, 0),
		Args:   map[string]string{"B": "two words, a comma", "A": "x=y", "EMPTY": "", "NO_PROXY": "mine"},
		Labels: map[string]string{"org.z": "1", "org.a": "2"}}
	env := []string{"HTTPS_PROXY=http://proxy:3128", "NO_PROXY=theirs", "http_proxy=", "SECRET=s"}
	for name, tc := range map[string]struct {
		kind Kind
		opt  Options
		want []string
	}{
		"buildctl with nothing but a context": {Daemon, Options{}, []string{
			"--addr", "unix:///x", "build", "--progress", "rawjson", "--frontend", "dockerfile.v0", "--local", "context=CONTEXT", "--local", "dockerfile=CONTEXT", "--opt", "filename=Dockerfile",
			"--output", "type=oci,tar=false,dest=LAYOUT", "--opt", "build-arg:HTTPS_PROXY=http://proxy:3128", "--opt", "build-arg:NO_PROXY=theirs"}},
		"buildctl with all there is": {Daemon, full, []string{
			"--addr", "unix:///x", "build", "--progress", "rawjson", "--frontend", "dockerfile.v0", "--local", "context=CONTEXT", "--local", "dockerfile=CONTEXT/deploy", "--opt", "filename=web.dockerfile",
			"--output", "type=oci,tar=false,dest=LAYOUT,rewrite-timestamp=true", "--opt", "build-arg:A=x=y", "--opt", "build-arg:B=two words, a comma", "--opt", "build-arg:EMPTY=",
			"--opt", "build-arg:HTTPS_PROXY=http://proxy:3128", "--opt", "build-arg:NO_PROXY=mine", "--opt", "build-arg:SOURCE_DATE_EPOCH=1700000000",
			"--opt", "label:org.a=2", "--opt", "label:org.z=1", "--opt", "target=prod", "--opt", "platform=linux/arm64", "--no-cache"}},
		"buildx with nothing but a context": {DockerContainer, Options{}, []string{
			"buildx", "build", "--progress", "rawjson", "--provenance=false", "--sbom=false", "--file", "CONTEXT/Dockerfile", "--output", "type=oci,tar=false,dest=LAYOUT",
			"--build-arg", "HTTPS_PROXY=http://proxy:3128", "--build-arg", "NO_PROXY=theirs", "CONTEXT"}},
		"buildx with all there is": {DockerContainer, full, []string{
			"buildx", "build", "--progress", "rawjson", "--provenance=false", "--sbom=false", "--file", "CONTEXT/deploy/web.dockerfile", "--output", "type=oci,tar=false,dest=LAYOUT,rewrite-timestamp=true",
			"--build-arg", "A=x=y", "--build-arg", "B=two words, a comma", "--build-arg", "EMPTY=", "--build-arg", "HTTPS_PROXY=http://proxy:3128", "--build-arg", "NO_PROXY=mine", "--build-arg", "SOURCE_DATE_EPOCH=1700000000",
			"--label", "org.a=2", "--label", "org.z=1", "--target", "prod", "--platform", "linux/arm64", "--no-cache", "CONTEXT"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := world(t, "", env...)
			opt := tc.opt
			opt.Name, opt.Context = "shop/web:1", source(t, map[string]string{"Dockerfile": scratch, "deploy/web.dockerfile": scratch})
			seen := &recorder{}
			opt.Observe = seen.observe
			layout := filepath.Join(w.TempDir, "layout-shop_web_1")
			write(t, filepath.Join(layout, "stale"), "of an earlier build", 0o644)
			dir := bin(t, map[string]string{"buildctl": client(makes(layout)), "docker": client(makes(layout))})
			program := filepath.Join(dir, map[Kind]string{Daemon: "buildctl", DockerContainer: "docker"}[tc.kind])
			b := Builder{Kind: tc.kind, Why: "it is there", address: "unix:///x", tools: map[string]string{filepath.Base(program): program}}
			img, err := Build(context.Background(), w, b, opt)
			if err != nil {
				t.Fatal(err)
			}
			want := Image{Name: "shop/web:1", Layout: layout, Digest: digest, Platform: opt.Platform, Builder: string(tc.kind), Why: "it is there", Seconds: img.Seconds}
			if diff := cmp.Diff(want, img); diff != "" {
				t.Error(diff)
			}
			if img.Seconds <= 0 {
				t.Errorf("it took %v s", img.Seconds)
			}
			if _, err := os.Stat(filepath.Join(layout, "stale")); err == nil {
				t.Error("the layout still holds what lay there before")
			}
			got := strings.NewReplacer(opt.Context, "CONTEXT", layout, "LAYOUT").Replace(strings.Join(told(t, program), "\n"))
			if diff := cmp.Diff(tc.want, strings.Split(got, "\n")); diff != "" {
				t.Errorf("%s was told something else:\n%s", filepath.Base(program), diff)
			}
			if text, err := os.ReadFile(program + ".env"); err != nil || !strings.Contains(string(text), "SECRET=s\n") || strings.Contains(string(text), "HOME=") {
				t.Errorf("the client's environment is not World's: %s, %v", text, err)
			}
			if !seen.has(event.Note, "image shop/web:1", "built by "+string(tc.kind)+": it is there") || !seen.has(event.Note, "image shop/web:1", digest+" (0 steps, 0 from the cache)") {
				t.Errorf("told only %+v", seen.events)
			}
			// What a stage hands over goes through a report.
			var again Image
			if text, err := json.Marshal(img); err != nil || json.Unmarshal(text, &again) != nil || again != img {
				t.Errorf("after JSON it is %+v (%v)", again, err)
			}
		})
	}
}

// TestLayoutElsewhere: a caller may say where the layout goes.
func TestLayoutElsewhere(t *testing.T) {
	w := world(t, "")
	layout := filepath.Join(t.TempDir(), "here")
	dir := bin(t, map[string]string{"buildctl": client(makes(layout))})
	img, err := Build(context.Background(), w, Builder{Kind: Daemon, tools: map[string]string{"buildctl": dir + "/buildctl"}},
		Options{Name: "web", Layout: layout, Context: source(t, map[string]string{"Dockerfile": scratch})})
	if err != nil || img.Layout != layout {
		t.Errorf("%+v, %v", img, err)
	}
	empty(t, w.TempDir)
}

func TestBuildFails(t *testing.T) {
	const step = `echo '{"vertexes":[{"digest":"a","name":"[1/1] RUN x","started":"2026-01-01T00:00:00Z","completed":"2026-01-01T00:00:01Z","error":"exit code: 3"},{"digest":"b","cached":true}]}' >&2; `
	for name, tc := range map[string]struct {
		builder Builder // its tools are the programs of that name
		program map[string]string
		context map[string]string
		want    string
		steps   int
	}{
		"there is nothing to build": {builder: Builder{Kind: Daemon}, context: map[string]string{"x": ""},
			want: `building image "web": reading its Dockerfile`},
		"nobody looked for a builder": {want: `building image "web": no builder: call Find first`},
		"the client has gone since": {builder: Builder{Kind: Daemon, tools: map[string]string{"buildctl": "/nowhere/buildctl"}},
			want: "/nowhere/buildctl: no such file"},
		"a step fails": {builder: Builder{Kind: Daemon}, program: map[string]string{"buildctl": step + "exit 1"},
			want: `building image "web": [1/1] RUN x: exit code: 3`, steps: 2},
		"the client says why": {builder: Builder{Kind: DockerContainer}, program: map[string]string{"docker": "echo 'ERROR: no space left on device' >&2; exit 1"},
			want: `building image "web": docker: exit status 1: ERROR: no space left on device`},
		"the client is content but made no layout": {builder: Builder{Kind: Daemon}, program: map[string]string{"buildctl": ""},
			want: "reading the layout: open"},
		"the daemon that we start ends at once": {builder: Builder{Kind: Child}, program: map[string]string{"buildctl": "exit 1", "buildkitd": "for i in 1 2 3 4; do echo line $i; done; exit 1"},
			want: `building image "web": starting buildkitd: it ended: line 2; line 3; line 4`},
		"the daemon that we start is no program": {builder: Builder{Kind: Child, tools: map[string]string{"buildkitd": "/nowhere/buildkitd"}},
			want: "starting buildkitd: fork/exec /nowhere/buildkitd: no such file"},
		"half a layout is no layout": {builder: Builder{Kind: Daemon}, program: map[string]string{"buildctl": `for a in "$@"; do case "$a" in type=oci*) /bin/mkdir "${a##*dest=}";; esac; done; exit 1`},
			want: "buildctl: exit status 1"},
		"the engine's build fails": {builder: Builder{Kind: DockerEngine}, program: map[string]string{"docker": step + "exit 1"},
			want: `building image "web": [1/1] RUN x: exit code: 3`, steps: 2},
		"the engine does not know the image that it built": {builder: Builder{Kind: DockerEngine}, program: map[string]string{"docker": `test "$1" = buildx || { echo "No such image"; exit 1; }`},
			want: "asking the engine for the image: No such image"},
		"the engine's image cannot be saved": {builder: Builder{Kind: DockerEngine}, program: map[string]string{"docker": `test "$1" != save || { echo half >"$3"; echo "disk full" >&2; exit 1; }`},
			want: "saving the image from the engine: docker: exit status 1: disk full"},
	} {
		t.Run(name, func(t *testing.T) {
			w := world(t, "")
			dir := bin(t, tc.program)
			if tc.builder.tools == nil {
				tc.builder.tools = map[string]string{}
			}
			for program := range tc.program {
				tc.builder.tools[program] = filepath.Join(dir, program)
			}
			if tc.context == nil {
				tc.context = map[string]string{"Dockerfile": scratch}
			}
			img, err := Build(context.Background(), w, tc.builder, Options{Name: "web", Context: source(t, tc.context)})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
			if img.Digest != "" || img.Steps != tc.steps || img.Cached != tc.steps/2 {
				t.Errorf("the image is %+v", img)
			}
			empty(t, w.TempDir)
		})
	}
}

// TestEngine: the image goes into the engine under a name of our own, out to an
// archive, and away again, whatever happened in between.
func TestEngine(t *testing.T) {
	for name, tc := range map[string]struct{ save, want string }{
		"an archive is saved":      {`echo archive >"$3"`, ""},
		"the archive is not saved": {"exit 1", "saving the image"},
	} {
		t.Run(name, func(t *testing.T) {
			w := world(t, "")
			dir := bin(t, map[string]string{"docker": client(`case "$1" in image) echo ` + digest + `;; save) ` + tc.save + `;; esac`)})
			program := filepath.Join(dir, "docker")
			img, err := Build(context.Background(), w, Builder{Kind: DockerEngine, tools: map[string]string{"docker": program}},
				Options{Name: "web", Context: source(t, map[string]string{"Dockerfile": scratch})})
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("%v, want %q", err, tc.want)
			}
			words := told(t, program)
			tag := words[len(words)-1]
			for _, want := range []string{"--load\n--tag\n" + tag, "image\ninspect\n--format\n{{.Id}}\n" + tag, "save\n--output\n" + filepath.Join(w.TempDir, "layout-web.tar") + "\n" + tag, "rmi\n" + tag} {
				if !strings.Contains(strings.Join(words, "\n"), want) || !strings.HasPrefix(tag, "outlast-build:") {
					t.Errorf("docker was not told %q but %q", want, words)
				}
			}
			if tc.want != "" {
				empty(t, w.TempDir)
			} else if text, err := os.ReadFile(img.Archive); string(text) != "archive\n" || img.Digest != digest || img.Layout != "" {
				t.Errorf("%+v with an archive %q (%v)", img, text, err)
			}
		})
	}
}

// TestChildWords starts by hand what withChild starts as another user, so that the
// words are checked where nobody can become one.
func TestChildWords(t *testing.T) {
	for name, tc := range map[string]struct {
		tools map[string]string // to the program that has to be started
		uid   int
		want  []string
	}{
		"root starts buildkitd itself":             {map[string]string{"buildkitd": "buildkitd"}, 0, []string{"--addr", "unix://S", "--root", "R", "--otel-socket-path", "S.otel"}},
		"others start it through rootlesskit":      {map[string]string{"rootlesskit": "rootlesskit", "buildkitd": "buildkitd", "unshare": "unshare"}, 1000, []string{"buildkitd", "--addr", "unix://S", "--root", "R", "--otel-socket-path", "S.otel", "--rootless", "--oci-worker-no-process-sandbox"}},
		"or in a namespace with a /run of its own": {map[string]string{"unshare": "unshare", "buildkitd": "buildkitd"}, 1000, []string{"--user", "--map-root-user", "--mount", "sh", "-c", `mount -t tmpfs tmpfs /run && exec "$@"`, "sh", "buildkitd", "--addr", "unix://S", "--root", "R", "--otel-socket-path", "S.otel", "--rootless", "--oci-worker-no-process-sandbox"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := bin(t, map[string]string{"buildkitd": client(""), "rootlesskit": client(""), "unshare": client("")})
			b := Builder{tools: map[string]string{}}
			for name, program := range tc.tools {
				b.tools[name] = filepath.Join(dir, program)
			}
			w := world(t, "")
			w.UID = tc.uid
			log, err := os.Create(filepath.Join(t.TempDir(), "log"))
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			ended, end, err := b.startChild(w, "R", "unix://S", log)
			if err != nil {
				t.Fatal(err)
			}
			<-ended
			end()
			first := "buildkitd"
			if tc.uid != 0 {
				first = "unshare"
				if b.tools["rootlesskit"] != "" {
					first = "rootlesskit"
				}
			}
			got := strings.Split(strings.ReplaceAll(strings.Join(told(t, filepath.Join(dir, first)), "\n"), dir+"/", ""), "\n")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
