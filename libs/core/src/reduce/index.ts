export { alignedRanges, isAligned, type Range, splitRange } from './ranges.js';
export { BufferPool, sharedFloats, TreeSum } from './tree-sum.js';
