/** Configuration from text to plain objects: the loader's public face. The messages themselves are in types.ts. */
export { Descriptors, typeNameOf } from './descriptors.js';
export { type ConfigFormat, type Loaded, type LoadedBootstrap, type LoadOptions, loadBootstrap, loadMessage } from './loader.js';
export { formatProblems, nearest, PROBLEM_CODES, type Problem, type ProblemCode } from './problem.js';
export { type ProtoJsonOptions, toProtoJson } from './proto-json.js';
export { fieldPath, itemPath, keyPath, SourceMap } from './source-map.js';
