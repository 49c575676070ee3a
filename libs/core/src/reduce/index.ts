export { alignedRanges, isAligned, type Range, splitRange } from './ranges.js';
export { BufferPool, TreeSum } from './tree-sum.js';
