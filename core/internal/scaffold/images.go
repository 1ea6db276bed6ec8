// SPDX-License-Identifier: Apache-2.0

package scaffold

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/outlast-ci/outlast/core/internal/config"
)

// dockerfile is one that was found.
type dockerfile struct {
	path  string   // from the project's folder
	names []string // that its image may have
}

// findImages matches the Dockerfiles with the images of the manifests: by
// name, else what is left when there is one of each.
func (p *project) findImages() error {
	files := p.dockerfiles()
	free := p.commonImages()
	take := func(f dockerfile, image string) {
		free = slices.DeleteFunc(free, func(s string) bool { return s == image })
		p.images = append(p.images, p.image(f, image))
		p.see("image %s is built from %s", image, f.path)
	}
	match := func(fits func(f dockerfile, image string) bool) {
		files = slices.DeleteFunc(files, func(f dockerfile) bool {
			var found []string
			for _, image := range free {
				if fits(f, image) {
					found = append(found, image)
				}
			}
			if len(found) == 1 {
				take(f, found[0])
			}
			return len(found) == 1
		})
	}
	match(func(f dockerfile, image string) bool { return slices.Contains(f.names, path.Base(image)) })
	match(func(f dockerfile, image string) bool {
		return !p.foreign(image) && slices.ContainsFunc(f.names, func(n string) bool { return strings.HasSuffix(path.Base(image), "-"+n) })
	})
	if own := slices.DeleteFunc(slices.Clone(free), p.foreign); len(own) == 1 && len(files) == 1 {
		take(files[0], own[0])
		files = nil
	}
	for _, image := range free {
		if p.foreign(image) || len(files) == 0 {
			p.see("image %s is not built here", image)
		} else {
			p.miss("which Dockerfile makes image %s: add it to images in outlast.yaml, with context and dockerfile; until then it is taken as the manifests name it", image)
		}
	}
	for _, f := range files {
		p.see("%s makes no image of the manifests", f.path)
	}
	if len(p.images) == 0 {
		p.miss("no image is built: no Dockerfile fits an image of the manifests; add it to images in outlast.yaml, or give --image NAME=REPOSITORY@DIGEST")
	}
	return nil
}

// commonImages are the images that every environment runs, by name: what is
// built is pinned in all of them.
func (p *project) commonImages() (names []string) {
	all := map[string]int{}
	for _, e := range p.environments {
		for name := range e.images {
			all[name]++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if all[name] == len(p.environments) {
			names = append(names, name)
		} else if !p.foreign(name) {
			p.miss("image %s is in %d of %d environments, and outlast pins each image in all of them: give it one name everywhere", name, all[name], len(p.environments))
		}
	}
	return names
}

// foreign images are somebody else's by the look of them: pinned by digest, or
// a plain name with a version, as Docker Hub's own have.
func (p *project) foreign(name string) bool {
	for _, e := range p.environments {
		image, ok := e.images[name]
		if !ok {
			continue
		}
		if strings.Contains(image, "@") {
			return true
		}
		_, tag, tagged := strings.Cut(path.Base(image), ":")
		if tagged && tag != "latest" && !strings.Contains(name, "/") {
			return true
		}
	}
	return false
}

// imageName cuts tag and digest off an image.
func imageName(image string) string {
	name, _, _ := strings.Cut(image, "@")
	if slash, colon := strings.LastIndex(name, "/"), strings.LastIndex(name, ":"); colon > slash {
		name = name[:colon]
	}
	return name
}

func (p *project) dockerfiles() (found []dockerfile) {
	walk(p.dir, func(rel string) {
		base := path.Base(rel)
		folder := path.Base(path.Dir(rel))
		switch suffix, named := strings.CutPrefix(base, "Dockerfile."); {
		case base == "Dockerfile" && folder == ".":
			found = append(found, dockerfile{rel, []string{p.App, filepath.Base(p.dir)}})
		case base == "Dockerfile":
			found = append(found, dockerfile{rel, []string{folder}})
		case named && suffix != "dockerignore":
			found = append(found, dockerfile{rel, []string{suffix}})
		case strings.HasSuffix(base, ".Dockerfile"):
			found = append(found, dockerfile{rel, []string{strings.TrimSuffix(base, ".Dockerfile")}})
		}
	})
	return found
}

// image is the entry of outlast.yaml. The context is the Dockerfile's folder,
// unless what it copies is only found from the project's.
func (p *project) image(f dockerfile, name string) config.Image {
	img := config.Image{Name: name, Repository: name, Args: map[string]string{}}
	context, file := path.Dir(f.path), path.Base(f.path)
	if context != "." && p.missing(f, context) > 0 && p.missing(f, ".") == 0 {
		context, file = ".", f.path
	}
	if context != "." {
		img.Context = context
	}
	if file != "Dockerfile" {
		img.Dockerfile = file
	}
	return img
}

// missing counts the sources of COPY and ADD that a context does not have.
func (p *project) missing(f dockerfile, context string) (n int) {
	text, err := readFile(filepath.Join(p.dir, filepath.FromSlash(f.path)))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 3 || !slices.Contains([]string{"COPY", "ADD"}, strings.ToUpper(words[0])) {
			continue
		}
		for _, source := range words[1 : len(words)-1] {
			if strings.HasPrefix(source, "--from=") {
				break
			}
			if strings.HasPrefix(source, "--") || strings.ContainsAny(source, `*?[$"<:\`) {
				continue
			}
			if _, err := os.Stat(filepath.Join(p.dir, context, filepath.FromSlash(source))); err != nil {
				n++
			}
		}
	}
	return n
}
