// SPDX-License-Identifier: Apache-2.0

package render

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outlast-ci/outlast/core/drain"
)

// TestPin: manifests are rendered once and get other digests later.
func TestPin(t *testing.T) {
	pod := strings.NewReplacer("image: web@sha256:1", "image: 'web:1' # ours").Replace(curePod) + "      - {name: proxy, image: r.example.com/proxy@sha256:1}\n"
	all := pod + "---\n" + cureService + "---\n" + cureIngress
	for name, files := range map[string]map[string]string{
		"plain YAML":      {"all.yaml": all},
		"a kustomization": {"all.yaml": all, "kustomization.yaml": "resources: [all.yaml]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			put(t, root, files)
			opt := Options{Path: root, Root: root, Drain: drain.Defaults()}
			once := func(images ...Image) string {
				t.Helper()
				opt.Images = images
				r, err := Render(context.Background(), opt)
				if err != nil {
					t.Fatal(err)
				}
				return string(r.YAML)
			}
			first, second := Image{"web", "r/web@sha256:aa"}, Image{"r.example.com/proxy", "r/proxy@sha256:bb"}
			m, err := Prepare(context.Background(), opt)
			if err != nil {
				t.Fatal(err)
			}
			for _, images := range [][]Image{{first}, {first, second}, {second}, nil, {{"web", "r/web@sha256:cc"}}} {
				r, err := m.Pin(context.Background(), images)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(once(images...), string(r.YAML)); diff != "" {
					t.Errorf("%v (- rendered at once, + pinned later):\n%s", images, diff)
				}
				want := []string{"web:1", "r.example.com/proxy@sha256:1"}
				for _, img := range images {
					want[map[string]int{"web": 0, "r.example.com/proxy": 1}[img.Name]] = img.Ref
				}
				if diff := cmp.Diff(want, r.Workloads[0].Images); diff != "" {
					t.Errorf("%v: images of the report:\n%s", images, diff)
				}
			}
			const said = `no container uses the image "wob"; the images of the manifests are r.example.com/proxy, web: `
			if _, err := m.Pin(context.Background(), []Image{{"wob", "x"}}); err == nil || !strings.Contains(err.Error(), said) {
				t.Errorf("got %v, want %s", err, said)
			}
			cause := errors.New("enough")
			ctx, cancel := context.WithCancelCause(context.Background())
			cancel(cause)
			if _, err := m.Pin(ctx, nil); !errors.Is(err, cause) {
				t.Errorf("it does not stop: %v", err)
			}
		})
	}
}

// TestTextOnly: with the policy off nobody is asked about workloads, and the text is
// the same. Other policies look.
func TestTextOnly(t *testing.T) {
	root := t.TempDir()
	put(t, root, map[string]string{"all.yaml": curePod + "---\n" + cureService + "---\n" + cureIngress})
	for policy, looks := range map[Policy]bool{Off: false, Warn: true, Fix: true} {
		opt := Options{Path: root, Root: root, Drain: drain.Defaults(), Policy: policy, Images: []Image{{"web", "r/web@sha256:aa"}}}
		want, err := Render(context.Background(), opt)
		if err != nil {
			t.Fatal(err)
		}
		opt.TextOnly = true
		got, err := Render(context.Background(), opt)
		if err != nil || string(got.YAML) != string(want.YAML) || (len(got.Workloads) > 0) != looks || len(want.Workloads) != 1 {
			t.Errorf("%s: %v, %d workloads, text\n%s", policy, err, len(got.Workloads), got.YAML)
		}
	}
}

// TestTwins: of two containers of one name the edit of the one is an edit of the other.
func TestTwins(t *testing.T) {
	const said = `Deployment/web has two containers called "web", which no API server takes; give one another name`
	for name, second := range map[string]string{
		"two containers":      "      - {name: web, image: other@sha256:1}\n",
		"an init container":   "      initContainers: [{name: web, image: other@sha256:1}]\n",
		"a sidecar":           "      initContainers: [{name: web, image: other@sha256:1, restartPolicy: Always}]\n",
		"containers far away": "      - {name: proxy, image: proxy@sha256:1}\n      - {name: web, image: other@sha256:1}\n",
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			put(t, root, map[string]string{"all.yaml": curePod + second + "---\n" + cureService + "---\n" + cureIngress})
			ctx, opt := context.Background(), Options{Path: root, Root: root, Drain: drain.Defaults()}
			for _, policy := range []Policy{Fix, Warn, Enforce} {
				opt.Policy = policy
				if _, err := Render(ctx, opt); err == nil || !strings.HasSuffix(err.Error(), said) {
					t.Errorf("%s: %v", policy, err)
				}
			}
			if _, err := Check(ctx, opt, nil); err == nil || !strings.HasSuffix(err.Error(), said) {
				t.Errorf("check: %v", err)
			}
			if _, err := Cure(ctx, opt); err == nil || !strings.HasSuffix(err.Error(), said) {
				t.Errorf("cure: %v", err)
			}
			opt.Policy = Off
			if _, err := Render(ctx, opt); err != nil {
				t.Errorf("off: %v", err)
			}
		})
	}
}

// TestPathError tells a path of no manifests from manifests that are broken.
func TestPathError(t *testing.T) {
	root := t.TempDir()
	put(t, root, map[string]string{"broken/all.yaml": "a: [\n", "missing/kustomization.yaml": "resources: [absent.yaml]\n", "empty/readme": "", "none/all.yaml": "# nothing\n"})
	for path, want := range map[string]bool{"absent": true, "empty": true, "..": true, "broken": false, "missing": false, "none": false} {
		_, err := Render(context.Background(), Options{Path: filepath.Join(root, path), Root: root, Drain: drain.Defaults()})
		var got *PathError
		if err == nil || errors.As(err, &got) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestStandardInputIsNamedOnce in what is said of it.
func TestStandardInputIsNamedOnce(t *testing.T) {
	twice := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	for text, want := range map[string]string{
		"a: [\n":                    "rendering standard input: line 1: ",
		"a: &a [*a]\n":              "rendering standard input: line 1: an alias contains itself",
		twice + "---\n" + twice:     "rendering standard input: line 5: ConfigMap a is there a second time, first at line 1; leave one",
		"\n\nmetadata: {}\n":        "rendering standard input: line 3: this is no Kubernetes object: it lacks apiVersion or kind",
		"a: 1\na: 2\n":              `rendering standard input: line 2: the key "a" is there a second time, first in line 1`,
		"# nothing\n":               "rendering standard input: it holds no objects",
		strings.Repeat("#", 51<<20): "rendering standard input: it is larger than 50 MB",
	} {
		_, err := Render(context.Background(), Options{Path: Stdin, Stream: []byte(text), Drain: drain.Defaults()})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}
