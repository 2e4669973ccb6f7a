// What convolutions know of their geometry. Two tables made once for each replace divisions:
// taps, one entry for each k that a product sums over, and pixels, one for each place of a
// sample. An entry is one load of 16 bytes.
#pragma once
#include "tile.cuh"

// Tap is one term of a convolution's sum: (c,r,s) forward, (o,r,s) for dx.
struct alignas(16) Tap {
  int offset; // of the term in a sample, from the window's corner (forward), or of channel o's plane
  int h, w;   // r·dilH and s·dilW
  int weight; // of w's element of channel 0
};

// Pixel is one place of y: its window's corner in x.
struct alignas(16) Pixel { int offset, h, w, unused; };

struct Geom { int inC, inH, inW, outC, outH, outW, strideH, strideW, padH, padW, taps; };
