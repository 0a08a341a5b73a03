import type { Container } from '../base/objects.ts';
import { append, presentText, readFirstText, readQuantityEntry, type Wire } from './wire.ts';

type Port = NonNullable<Container['ports']>[number];
type Variable = NonNullable<Container['env']>[number];
type Source = NonNullable<Container['envFrom']>[number];
type ConfigMapRef = { readonly name: string | undefined; readonly optional: boolean | undefined };

/** core/v1 Container; the common part of an ephemeral container has the same numbers. */
export function readContainer(wire: Wire): Container {
  const end = wire.enter();
  let name = '';
  let requests: Record<string, string> | undefined;
  let restartPolicy = '';
  let ports: Port[] | undefined;
  let mounts: { readonly name: string }[] | undefined;
  let env: Variable[] | undefined;
  let envFrom: Source[] | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    switch (tag) {
      case 10: // 1 name
        name = wire.text();
        break;
      case 50: {
        // 6 ports
        const port = readPort(wire);
        if (port.hostPort !== undefined) ports = append(ports, port);
        break;
      }
      case 58: {
        // 7 env
        const variable = readVariable(wire);
        if (variable !== undefined) env = append(env, variable);
        break;
      }
      case 66: // 8 resources
        requests = readRequests(wire);
        break;
      case 74: // 9 volumeMounts
        mounts = append(mounts, { name: readFirstText(wire) });
        break;
      case 154: {
        // 19 envFrom
        const source = readSource(wire);
        if (source !== undefined) envFrom = append(envFrom, source);
        break;
      }
      case 194: // 24 restartPolicy
        restartPolicy = wire.text();
        break;
      default:
        wire.skipType(tag & 7);
    }
  }
  wire.leave(end);
  return {
    name,
    resources: requests === undefined ? undefined : { requests },
    restartPolicy: presentText(restartPolicy),
    ports,
    volumeMounts: mounts,
    env,
    envFrom,
  };
}

/** EphemeralContainer: the common part is its field 1. */
export function readEphemeralContainer(wire: Wire): Container {
  const end = wire.enter();
  let container: Container | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) container = readContainer(wire);
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  if (container === undefined) throw new RangeError('an ephemeral container without content');
  return container;
}

/** Requests of a ResourceRequirements; limits bind nobody here. */
export function readRequests(wire: Wire): Record<string, string> | undefined {
  const end = wire.enter();
  let requests: Record<string, string> | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 18) requests = readQuantityEntry(wire, requests);
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return requests;
}

function readPort(wire: Wire): Port {
  const end = wire.enter();
  let hostPort = 0;
  let protocol = '';
  let hostIP = '';
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 16) hostPort = wire.int32();
    else if (tag === 34) protocol = wire.text();
    else if (tag === 42) hostIP = wire.text();
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return { hostPort: hostPort > 0 ? hostPort : undefined, protocol: presentText(protocol), hostIP: presentText(hostIP) };
}

/** Only variables that come from a config map matter. */
function readVariable(wire: Wire): Variable | undefined {
  const end = wire.enter();
  let ref: ConfigMapRef | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 26) ref = readValueFrom(wire);
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return ref && { valueFrom: { configMapKeyRef: ref } };
}

function readValueFrom(wire: Wire): ConfigMapRef | undefined {
  const end = wire.enter();
  let ref: ConfigMapRef | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 26) ref = readConfigMapRef(wire, 24);
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return ref;
}

function readSource(wire: Wire): Source | undefined {
  const end = wire.enter();
  let ref: ConfigMapRef | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 18) ref = readConfigMapRef(wire, 16);
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return ref && { configMapRef: ref };
}

/** A reference to a config map: its name is in field 1; `optional` has another number in each kind of reference. */
export function readConfigMapRef(wire: Wire, optionalTag: number): ConfigMapRef {
  const end = wire.enter();
  let name = '';
  let optional: boolean | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) name = readFirstText(wire);
    else if (tag === optionalTag) optional = wire.bool();
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return { name: presentText(name), optional };
}
