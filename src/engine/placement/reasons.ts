/**
 * Why a node was refused by a predicate, in the order of spec 03 section 7.3. 0 = accepted. Codes are stored in byte
 * columns of the shared state; texts are made once per failing task.
 */
export const PredicateCode = {
  ok: 0,
  queueCapacity: 1,
  legacyMig: 2,
  sharedOnDraNode: 3,
  migOnPlainNode: 4,
  migBesideLegacyMig: 5,
  wholeOnlySingleMig: 6,
  nonMigOnMixed: 7,
  gpuMemoryUnknown: 8,
  podSlots: 9,
  /** The node's own conditions; which ones is read from its flags. */
  nodeCondition: 10,
  hostPorts: 11,
  taint: 12,
  nodeAffinity: 13,
  podAffinity: 14,
  podAntiAffinity: 15,
  existingAntiAffinity: 16,
  volumesNotFound: 17,
  volumeNodeAffinity: 18,
  volumeStorage: 19,
  gpuWorkerOnly: 20,
  cpuWorkerOnly: 21,
  dra: 22,
  draSelector: 23,
  unmappedDraNode: 24,
  noGpuSelection: 25,
  numa: 26,
  /** The storage ledger of spec 03 section 4.9 has no room. */
  storageLedger: 27,
} as const;
export type PredicateCode = (typeof PredicateCode)[keyof typeof PredicateCode];

/** Texts that name neither pod nor node (spec 01 section 5.6). */
export const PREDICATE_TEXT: Readonly<Partial<Record<number, string>>> = Object.freeze({
  [PredicateCode.sharedOnDraNode]: 'fractional/shared GPU pods are not yet supported on DRA-only nodes',
  [PredicateCode.migOnPlainNode]: 'MIG job cannot be scheduled on non-MIG node',
  [PredicateCode.wholeOnlySingleMig]: "only whole gpu jobs can run on a node with MigStrategy='single'",
  [PredicateCode.nonMigOnMixed]: "non MIG jobs cant run on a node with MigStrategy='mixed'",
  [PredicateCode.podSlots]: 'node(s) pod number exceeded',
  [PredicateCode.hostPorts]: "node(s) didn't have free ports for the requested pod ports",
  [PredicateCode.taint]: 'node(s) had untolerated taint(s)',
  [PredicateCode.nodeAffinity]: "node(s) didn't match Pod's node affinity/selector",
  [PredicateCode.podAffinity]: "node(s) didn't match pod affinity rules",
  [PredicateCode.podAntiAffinity]: "node(s) didn't match pod anti-affinity rules",
  [PredicateCode.existingAntiAffinity]: "node(s) didn't satisfy existing pods anti-affinity rules",
  [PredicateCode.volumesNotFound]: "node(s) didn't find available persistent volumes to bind",
  [PredicateCode.volumeNodeAffinity]: "node(s) didn't match PersistentVolume's node affinity",
  [PredicateCode.volumeStorage]: 'node(s) did not have enough free storage',
  [PredicateCode.numa]: "node cannot NUMA-align the pod's resources under its Topology Manager policy",
});
