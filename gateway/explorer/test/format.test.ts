import { expect, test } from "vitest";
import { ago, count, counted, figure, json, local, number, parse, utc } from "../src/format";

test("whole numbers beyond 2^53 keep their digits, wherever they stand", () => {
  const text = '{"a":9007199254740993,"b":[-12345678901234567890,1],"c":9007199254740991,"d":1e300,"s":"a \\"12345678901234567890\\" b","e":0.30000000000000004,"f":"9007199254740993"}';
  const told = parse(text) as { a: bigint; b: (bigint | number)[]; c: number };
  expect(told.a).toBe(9007199254740993n);
  expect(told.b).toEqual([-12345678901234567890n, 1]);
  expect(told.c).toBe(9007199254740991);
  expect(json(told)).toBe(text.replace("1e300", "1e+300"));
  expect(number(told.a)).toBe("9,007,199,254,740,993");
});

test("numbers", () => {
  expect(number(0.1234567)).toBe("0.123457");
  expect(figure(0.85)).toBe("0.850");
  expect([0, 1, 1200].map((many) => count(many, "alert"))).toEqual(["0 alerts", "1 alert", "1,200 alerts"]);
  expect(count(2, "retraining run")).toBe("2 retraining runs");
});

test("a count that stopped says so", () => {
  expect(counted({ totalCount: 10_000, totalCountIsExact: true }, "alert")).toBe("10,000 alerts");
  expect(counted({ totalCount: 10_001, totalCountIsExact: false }, "alert")).toBe("more than 10,000 alerts");
  expect(counted({ totalCount: 37, totalCountIsExact: false }, "alert")).toBe("more than 36 alerts");
  expect(counted({ totalCount: 0, totalCountIsExact: false }, "alert")).toBe("an unknown number of alerts");
});

test("times are local, and in UTC", () => {
  expect(local("2026-11-28T23:30:00.000000Z", "Asia/Tokyo")).toBe("29 Nov 2026, 08:30");
  expect(local("2026-11-28T23:30:00Z", "America/New_York")).toBe("28 Nov 2026, 18:30");
  expect(utc("2026-11-28T23:30:07.123456Z")).toBe("2026-11-28 23:30:07 UTC");
  expect([local("never"), utc("never"), ago("never")]).toEqual(["never", "never", "never"]);
});

test("how long ago", () => {
  const now = Date.parse("2026-11-28T12:00:00Z");
  const told = ["2026-11-28T12:00:20Z", "2026-11-28T11:15:00Z", "2026-11-27T10:00:00Z", "2026-11-26T10:00:00Z"].map((at) => ago(at, now));
  expect(told).toEqual(["just now", "45 min ago", "26 h ago", "2 days ago"]);
});
