/**
 * `sluice/codec/testing`: what the tests of a private protocol are written with. `sluice codec test PATH` runs the contract and then the `*.test.ts` files of the
 * folder. docs/api/codec-testing.api.md lists everything that is here.
 */
export { type ContractDecoder, type ContractOptions, type RuleResult, runContract } from './cli/codec/contract.js';
export { describeFrame, hexOf, kindOf, type ReadResult, readFrames } from './cli/codec/frame-reader.js';
export { bytesOfHex, readVectors, type Vector, type VectorFrame } from './cli/codec/vectors.js';
