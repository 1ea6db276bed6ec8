// SPDX-License-Identifier: Apache-2.0

package metrics

type CollectorOption func()

func WithCollectorNamespace(string) CollectorOption                       { return nil }
func WithCollectorBatchDeliveryDurationBuckets([]float64) CollectorOption { return nil }
