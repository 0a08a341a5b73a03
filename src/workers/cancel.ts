import { Interruption } from '../base/jobFault.ts';
import { CONTROL } from './protocol.ts';

/** Thrown by the port and the sink when `cancel` is set; ends the engine's cycle. */
export class CycleCancelled extends Interruption {}

export function throwIfCancelled(control: Int32Array): void {
  if (Atomics.load(control, CONTROL.cancel) === 1) throw new CycleCancelled('cancelled');
}
