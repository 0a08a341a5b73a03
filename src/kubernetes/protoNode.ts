import type { Taint } from '../base/constraints.ts';
import type { ObservedNode } from './observedObjects.ts';
import { readMetadata } from './protoMeta.ts';
import { append, presentText, readQuantityEntry, type Wire } from './wire.ts';

type Conditions = NonNullable<NonNullable<ObservedNode['status']>['conditions']>[number];

/** core/v1 Node from `wire.pos` to `end`; the rest (images, addresses, managed fields) is skipped. */
export function readNode(wire: Wire, end: number): ObservedNode {
  let metadata: ObservedNode['metadata'] | undefined;
  let spec: ObservedNode['spec'];
  let status: ObservedNode['status'];
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) metadata = readMetadata(wire);
    else if (tag === 18) spec = readSpec(wire);
    else if (tag === 26) status = readStatus(wire);
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  if (metadata === undefined) throw new RangeError('a node without metadata');
  return {
    metadata,
    spec: spec ?? { unschedulable: undefined, taints: undefined },
    status: status ?? { allocatable: undefined, capacity: undefined, conditions: undefined },
  };
}

function readSpec(wire: Wire): ObservedNode['spec'] {
  const end = wire.enter();
  let isUnschedulable = false;
  let taints: Taint[] | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 32) isUnschedulable = wire.bool();
    else if (tag === 42) taints = append(taints, readTaint(wire));
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return { unschedulable: isUnschedulable || undefined, taints };
}

function readTaint(wire: Wire): Taint {
  const end = wire.enter();
  let key = '';
  let value = '';
  let effect = '';
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) key = wire.text();
    else if (tag === 18) value = wire.text();
    else if (tag === 26) effect = wire.text();
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return { key, value: presentText(value), effect };
}

function readStatus(wire: Wire): ObservedNode['status'] {
  const end = wire.enter();
  let capacity: Record<string, string> | undefined;
  let allocatable: Record<string, string> | undefined;
  let conditions: Conditions[] | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) capacity = readQuantityEntry(wire, capacity);
    else if (tag === 18) allocatable = readQuantityEntry(wire, allocatable);
    else if (tag === 34) conditions = append(conditions, readCondition(wire));
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return { allocatable, capacity, conditions };
}

function readCondition(wire: Wire): Conditions {
  const end = wire.enter();
  let type = '';
  let status = '';
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) type = wire.text();
    else if (tag === 18) status = wire.text();
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return { type, status };
}
