// SPDX-License-Identifier: Apache-2.0

// Package calibration has no code. Its tests hold the lab's guide to what the
// lab does: the table of constants is written from the code, and the script
// that measures the same on a real account is tried on what such an account
// would say.
package calibration
