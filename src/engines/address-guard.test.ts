import { describe, expect, test } from 'vitest'
import { allowsAddress, allowsHost, guardedLookup } from './address-guard.ts'

describe('the guard of addresses', () => {
  const metadata = [
    '169.254.169.254',
    '169.254.0.1',
    '100.100.100.200',
    'fe80::1',
    'fe80::1%eth0',
    'fd00:ec2::254',
    '::ffff:169.254.169.254',
    '64:ff9b::a9fe:a9fe',
  ]
  const inside = [
    '127.0.0.1',
    '10.1.2.3',
    '172.31.0.1',
    '192.168.1.1',
    '100.64.0.1',
    '0.0.0.0',
    '::1',
    '::',
    'fd12::1',
    '::ffff:127.0.0.1',
    '::ffff:10.0.0.1',
    '2002:7f00:1::',
    '64:ff9b::7f00:1',
    '255.255.255.255',
    'ff02::1',
  ]
  const outside = ['1.1.1.1', '8.8.8.8', '172.32.0.1', '2606:4700::1111', '::ffff:8.8.8.8']

  test.each(metadata)('a name that leads to %s is refused, private addresses allowed or not', (address) => {
    expect(allowsAddress(address, true)).toBe(false)
    expect(allowsAddress(address, false)).toBe(false)
  })

  test.each(inside)('%s is reached only where private addresses are allowed', (address) => {
    expect(allowsAddress(address, true)).toBe(true)
    expect(allowsAddress(address, false)).toBe(false)
  })

  test.each(outside)('%s is reached always', (address) => {
    expect(allowsAddress(address, false)).toBe(true)
  })

  test('what is no address is refused', () => {
    expect(allowsAddress('localhost', true)).toBe(false)
    expect(allowsAddress('', true)).toBe(false)
  })

  test('an address that the operator wrote out is meant, link-local too, where private ones are allowed', () => {
    expect(allowsHost('169.254.10.20', true)).toBe(true)
    expect(allowsHost('169.254.10.20', false)).toBe(false)
    expect(allowsHost('127.0.0.1', false)).toBe(false)
    expect(allowsHost('engine.example', false)).toBe(true)
  })

  test('a look-up answers with allowed addresses only, in both of the forms that sockets ask for', async () => {
    const lookUp = (allowPrivate: boolean, all: boolean) =>
      new Promise((resolve) =>
        guardedLookup(allowPrivate)('localhost', { all }, (error, found) => resolve(error ? Reflect.get(error, 'code') : found)),
      )

    expect(await lookUp(true, true)).toEqual(
      expect.arrayContaining([{ address: expect.stringMatching(/^(127\.0\.0\.1|::1)$/), family: expect.any(Number) }]),
    )
    expect(await lookUp(true, false)).toMatch(/^(127\.0\.0\.1|::1)$/)
    expect(await lookUp(false, true)).toBe('ADDRESS_REFUSED')
    expect(await lookUp(false, false)).toBe('ADDRESS_REFUSED')
  })
})
