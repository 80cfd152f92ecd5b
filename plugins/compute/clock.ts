// The guest's clock and its timers: <clock>, only where the manifest asks for one.
import { type DomainDraft, type DomainSpec, type Element, el } from '../../core/index.ts';
import type { ClockTimer } from './types.ts';

function timer(name: string, asked: ClockTimer | undefined): Element | undefined {
  if (!asked) return undefined;
  const { tickPolicy, track, present = true } = asked;
  return el('timer', { name, tickpolicy: tickPolicy || undefined, present, track: track || undefined });
}

export function clock(spec: DomainSpec, domain: DomainDraft): void {
  const asked = spec.clock;
  if (!asked) return;
  const zone = asked.utc ? undefined : asked.timezone;
  const { rtc, pit, kvm, hpet, hyperv } = asked.timer ?? {};
  domain.merge(
    el(
      'clock',
      zone === undefined
        ? { offset: 'utc', adjustment: asked.utc?.offsetSeconds ?? (asked.utc ? 'reset' : undefined) }
        : { offset: 'timezone', timezone: zone },
      timer('rtc', rtc),
      timer('pit', pit),
      timer('kvmclock', kvm),
      timer('hpet', hpet),
      timer('hypervclock', hyperv),
    ),
  );
}
