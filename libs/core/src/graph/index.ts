export { Graph, type GraphOptions, type Node } from './graph.js';
export { GraphError, type OperationAttributes, type OperationName, operations } from './operations.js';
export { type NodeJson, printDot, printText, toJson } from './print.js';
