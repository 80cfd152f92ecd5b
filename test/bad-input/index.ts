// Every bad manifest.
import { absentPlugins } from './absent-plugins.ts';
import type { BadCase } from './case.ts';
import { cloudInit } from './cloud-init.ts';
import { disks } from './disks.ts';
import { hostile } from './hostile.ts';
import { machine } from './machine.ts';
import { networks } from './networks.ts';
import { shapes } from './shapes.ts';
import { virtualMachines } from './virtual-machines.ts';

export const BAD: readonly BadCase[] = [
  ...shapes,
  ...disks,
  ...networks,
  ...machine,
  ...cloudInit,
  ...virtualMachines,
  ...absentPlugins,
  ...hostile,
];
