// SPDX-License-Identifier: Apache-2.0

// Package s3 is the part of S3 that reading a load balancer's access logs
// needs: buckets, objects and their listing. Verified requests go in, the
// answers of the REST API come out; objects are kept as files in a folder and
// survive a restart. Not imitated: deletion, versions, multipart uploads,
// bucket policies, and uploads in signed chunks.
package s3

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Object is what a listing says of one.
type Object struct {
	Key, ETag, Type string
	Size            int64
	Modified        time.Time
}

// Store keeps buckets and objects. It is safe for concurrent use.
type Store struct {
	dir string
	now func() time.Time

	mu      sync.Mutex
	buckets map[string]*bucket
}

type bucket struct {
	Region  string
	objects map[string]Object
}

// Open makes a store in dir, or takes up the one that is there.
func Open(dir string, now func() time.Time) (*Store, error) {
	s := &Store{dir: dir, now: now, buckets: map[string]*bucket{}}
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("opening the buckets: %w", err)
	}
	for _, e := range entries {
		b, err := s.load(e.Name())
		if err != nil {
			return nil, fmt.Errorf("opening bucket %q: %w: remove its folder in %q to begin anew", e.Name(), err, dir)
		}
		s.buckets[e.Name()] = b
	}
	return s, nil
}

func (s *Store) load(name string) (*bucket, error) {
	region, err := os.ReadFile(filepath.Join(s.dir, name, "region"))
	if err != nil {
		return nil, err
	}
	b := &bucket{Region: string(region), objects: map[string]Object{}}
	files, err := filepath.Glob(filepath.Join(s.dir, name, "*.object"))
	if err != nil {
		return nil, err
	}
	for _, path := range files {
		o, _, err := read(path)
		if err != nil {
			return nil, err
		}
		b.objects[o.Key] = o
	}
	return b, nil
}

// read gives an object's file: one line of JSON, then the body.
func read(path string) (Object, []byte, error) {
	var o Object
	f, err := os.Open(path)
	if err != nil {
		return o, nil, err
	}
	defer func() { _ = f.Close() }()
	r := bufio.NewReader(f)
	head, err := r.ReadBytes('\n')
	if err != nil {
		return o, nil, err
	}
	if err := json.Unmarshal(head, &o); err != nil {
		return o, nil, err
	}
	body, err := io.ReadAll(r)
	return o, body, err
}

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// CreateBucket makes a bucket; fresh is false when it was there already.
func (s *Store) CreateBucket(name, region string) (fresh bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !bucketName.MatchString(name) {
		return false, fail("InvalidBucketName", "The specified bucket is not valid.")
	}
	if s.buckets[name] != nil {
		return false, nil
	}
	dir := filepath.Join(s.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, fmt.Errorf("creating bucket %q: %w", name, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "region"), []byte(region), 0o600); err != nil {
		return false, fmt.Errorf("creating bucket %q: %w", name, err)
	}
	s.buckets[name] = &bucket{Region: region, objects: map[string]Object{}}
	return true, nil
}

// Region of a bucket, or NoSuchBucket.
func (s *Store) Region(name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.buckets[name]; b != nil {
		return b.Region, nil
	}
	return "", noSuchBucket()
}

func (s *Store) path(bucket, key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(s.dir, bucket, hex.EncodeToString(sum[:])+".object")
}

// Put stores an object in a bucket that exists.
func (s *Store) Put(bucket, key, kind string, body []byte) (Object, error) {
	if key == "" || len(key) > 1024 {
		return Object{}, fail("KeyTooLongError", "Your key is too long")
	}
	if kind == "" {
		kind = "binary/octet-stream"
	}
	sum := md5.Sum(body)
	o := Object{Key: key, ETag: `"` + hex.EncodeToString(sum[:]) + `"`, Type: kind, Size: int64(len(body)),
		Modified: s.now().UTC().Truncate(time.Second)}
	head, err := json.Marshal(o)
	if err != nil {
		return Object{}, fmt.Errorf("writing object %q: %w", key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[bucket]
	if b == nil {
		return Object{}, noSuchBucket()
	}
	path := s.path(bucket, key)
	if err := os.WriteFile(path+".new", bytes.Join([][]byte{head, body}, []byte("\n")), 0o600); err != nil {
		return Object{}, fmt.Errorf("writing object %q: %w", key, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return Object{}, fmt.Errorf("writing object %q: %w", key, err)
	}
	b.objects[key] = o
	return o, nil
}

// Get returns an object with its body.
func (s *Store) Get(bucket, key string) (Object, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[bucket]
	if b == nil {
		return Object{}, nil, noSuchBucket()
	}
	if _, ok := b.objects[key]; !ok {
		return Object{}, nil, noSuchKey()
	}
	o, body, err := read(s.path(bucket, key))
	if err != nil {
		return Object{}, nil, fmt.Errorf("reading object %q: %w", key, err)
	}
	return o, body, nil
}

// list gives all objects of a bucket after a key, in the order of their keys.
func (s *Store) list(bucket, prefix, after string) ([]Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[bucket]
	if b == nil {
		return nil, noSuchBucket()
	}
	var out []Object
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		if strings.HasPrefix(key, prefix) && key > after {
			out = append(out, b.objects[key])
		}
	}
	return out, nil
}
