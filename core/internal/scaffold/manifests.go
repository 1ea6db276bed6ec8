// SPDX-License-Identifier: Apache-2.0

package scaffold

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// environment is one place to deploy to.
type environment struct {
	Name      string
	Manifests string            // from the project's folder, slashes
	Branch    string            // that deploys there; empty: none is known
	images    map[string]string // of its workloads: as written, by name
}

// Where manifests are looked for, in this order: every folder below one of
// overlays is an environment; below one of plain only those whose names say so.
var (
	overlays = []string{"deploy/overlays", "k8s/overlays", "kubernetes/overlays", "manifests/overlays", "overlays", "deploy/environments", "environments"}
	plain    = []string{"deploy", "k8s", "kubernetes", "manifests", ".k8s"}
	single   = []string{"k8s.yaml", "kubernetes.yaml", "manifests.yaml", "deploy.yaml", "deployment.yaml"}
)

// Words that people use for the two environments everybody has.
var (
	prodWords = []string{"prod", "production", "prd", "live"}
	devWords  = []string{"dev", "develop", "development"}
	others    = []string{"test", "testing", "qa", "uat", "stage", "staging", "preprod", "pre", "sandbox", "preview", "demo"}
)

func environmentWord(name string, branches []string) bool {
	return slices.Contains(slices.Concat(prodWords, devWords, others, branches), name)
}

// find lists the environments of the project in dir; branches are names that
// an environment may have, too.
func find(dir string, branches []string) (found []environment) {
	for _, base := range overlays {
		for _, name := range folders(dir, base) {
			if holdsManifests(filepath.Join(dir, base, name)) {
				found = append(found, environment{Name: name, Manifests: path.Join(base, name)})
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	for _, base := range plain {
		for _, name := range folders(dir, base) {
			if environmentWord(name, branches) && holdsManifests(filepath.Join(dir, base, name)) {
				found = append(found, environment{Name: name, Manifests: path.Join(base, name)})
			}
		}
		if len(found) > 0 {
			return found
		}
		if holdsManifests(filepath.Join(dir, base)) {
			return []environment{{Name: "prod", Manifests: base}}
		}
	}
	if kustomizationIn(dir) != "" {
		return []environment{{Name: "prod", Manifests: "."}}
	}
	for _, name := range single {
		if objects, err := objectsIn(filepath.Join(dir, name)); err == nil && objects {
			return []environment{{Name: "prod", Manifests: name}}
		}
	}
	return nil
}

func (p *project) findEnvironments() error {
	p.environments = find(p.dir, p.Repository.Branches)
	charts := chartsIn(p.dir)
	if len(p.environments) > 0 {
		for _, c := range charts {
			p.see("%s is a Helm chart: outlast renders kustomizations and plain YAML only and leaves it alone", c)
		}
		return nil
	}
	if len(charts) > 0 {
		return fmt.Errorf("finding the manifests: %s is a Helm chart, which outlast does not render: write what it makes for each environment with helm template NAME %s > deploy/overlays/prod/all.yaml, then run outlast init again", charts[0], charts[0])
	}
	return fmt.Errorf("finding the manifests: no kustomization and no Kubernetes YAML is in %s, %s or at the top of %s: write a Deployment, a Service and an Ingress of class alb as deploy/overlays/prod/all.yaml (one folder for each environment), then run outlast init again",
		strings.Join(plain, ", "), strings.Join(overlays, ", "), p.dir)
}

// holdsManifests: a folder with a kustomization, or with YAML of which some is
// an object of Kubernetes.
func holdsManifests(dir string) bool {
	if kustomizationIn(dir) != "" {
		return true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); e.IsDir() || ext != ".yaml" && ext != ".yml" {
			continue
		}
		if objects, err := objectsIn(filepath.Join(dir, e.Name())); err == nil && objects {
			return true
		}
	}
	return false
}

func kustomizationIn(dir string) string {
	for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && !info.IsDir() {
			return name
		}
	}
	return ""
}

// maxRead bounds what is read of a file to look at; rendering has its own limit.
const maxRead = 5 << 20

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("reading %s: it is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxRead))
}

// objectsIn tells whether a file has a document with apiVersion and kind.
func objectsIn(file string) (bool, error) {
	text, err := readFile(file)
	if err != nil {
		return false, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			return false, nil
		} else if err != nil {
			return false, err
		}
		keys := map[string]bool{}
		if len(doc.Content) == 1 && doc.Content[0].Kind == yaml.MappingNode {
			for i := 0; i < len(doc.Content[0].Content); i += 2 {
				keys[doc.Content[0].Content[i].Value] = true
			}
		}
		if keys["apiVersion"] && keys["kind"] {
			return true, nil
		}
	}
}

// folders lists the subfolders of dir/base by name, links to folders included.
func folders(dir, base string) (names []string) {
	entries, err := os.ReadDir(filepath.Join(dir, filepath.FromSlash(base)))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if info, err := os.Stat(filepath.Join(dir, base, e.Name())); err == nil && info.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

// --- charts -----------------------------------------------------------------

func hasChart(dir string) bool { return len(chartsIn(dir)) > 0 }

// chartsIn lists the Helm charts of a project.
func chartsIn(dir string) (charts []string) {
	walk(dir, func(rel string) {
		if path.Base(rel) == "Chart.yaml" {
			charts = append(charts, path.Dir(rel))
		}
	})
	return charts
}

// walk calls do for each file down to three folders below dir, without hidden
// folders and those of dependencies.
func walk(dir string, do func(rel string)) {
	skip := []string{"node_modules", "vendor", "testdata", "target", "dist"}
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return fs.SkipDir // what cannot be read is not there
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if !d.IsDir() {
			do(rel)
			return nil
		}
		if rel != "." && (strings.HasPrefix(d.Name(), ".") || slices.Contains(skip, d.Name()) || strings.Count(rel, "/") >= 3) {
			return fs.SkipDir
		}
		return nil
	})
}
