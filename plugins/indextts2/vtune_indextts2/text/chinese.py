"""Write every number of a Chinese text in words; the order of the passes decides between readings."""

from __future__ import annotations

import re

from vtune_indextts2.text.chinese_numbers import cardinal, digits, number

_GUARD = r"(?<!\d)(?<!\d[.,])"  # a number begins here; not inside another one, so that the search stays linear
_NUMBER = r"(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)(?:\.\d++)?"
_TO = " ?[-–—~～至到] ?"
_HALF_WIDTH = str.maketrans("％＄￥－．＋＝", "%$¥-.+=")

_DATE = re.compile(r"(?<![\d/.-])([12]\d{3})([-/.])(1[0-2]|0?[1-9])\2(3[01]|[12]\d|0?[1-9])[日号]?(?![\d/-])")
_YEARS = re.compile(rf"(?<!\d)(\d{{4}})(?:{_TO})(?=\d{{4}}年)")
_YEAR = re.compile(r"(?<!\d)([12]\d{3})(?=年)")
_CLOCK = r"(?:[01]?\d|2[0-4])[:：][0-5]\d"
_TIMES = re.compile(rf"(?<![\d:：])({_CLOCK}){_TO}(?={_CLOCK})")
_TIME = re.compile(r"(?<![\d:：.])([01]?\d|2[0-4])[:：]([0-5]\d)(?:[:：]([0-5]\d))?(?![\d:：])")
_RATIO = re.compile(r"(?<![\d:.])(\d{1,9}):(?=\d{1,9}(?![\d:]))")

_TELEPHONES = (
    re.compile(r"(?<![\d-])\+?\d{1,5}(?:-\d{2,8}){2,}+(?![\d-])"),
    re.compile(r"(?<![\d-])0\d{2,3}-\d{7,8}(?![\d-])"),
    re.compile(r"(?:\+86 ?|(?<!\d))1[3-9]\d{9}(?!\d)"),
    re.compile(r"(?:\+86 ?|(?<![\d ]))1[3-9]\d (?:\d{4} )\d{4}(?! ?\d)"),
)

_PERCENT_RANGE = re.compile(rf"{_GUARD}({_NUMBER})%?{_TO}({_NUMBER})(?P<sign>[%‰])")
_PERCENT = re.compile(rf"((?<![\dA-Za-z%])-)?{_GUARD}({_NUMBER})(?P<sign>[%‰])")
_PARTS = {"%": "百分之", "‰": "千分之"}
_FRACTION = re.compile(r"(?<![\d/.])(\d{1,6})/(\d{1,6})(?![\d/])")

_CURRENCIES = {"¥": "元", "$": "美元", "€": "欧元", "£": "英镑"}
_MONEY = re.compile(rf"(?P<currency>[¥$€£]) ?(?P<number>{_NUMBER})(?P<scale>[百千万亿]*)(?:元)?")
_MONEY_BEHIND = re.compile(rf"{_GUARD}(?P<number>{_NUMBER}) ?(?P<scale>)(?P<currency>[¥$€£])(?! ?\d)")

_UNITS = {
    "km²": "平方公里",
    "m²": "平方米",
    "m³": "立方米",
    "km": "公里",
    "cm": "厘米",
    "mm": "毫米",
    "m": "米",
    "kg": "公斤",
    "mg": "毫克",
    "g": "克",
    "ml": "毫升",
    "mL": "毫升",
    "l": "升",
    "L": "升",
    "h": "小时",
    "min": "分钟",
    "s": "秒",
    "ms": "毫秒",
    "Hz": "赫兹",
    "kHz": "千赫",
    "MHz": "兆赫",
    "GHz": "吉赫",
    "W": "瓦",
    "kW": "千瓦",
    "V": "伏",
    "°C": "摄氏度",
    "℃": "摄氏度",
    "°F": "华氏度",
    "°": "度",
}
_SPEED = re.compile(rf"{_GUARD}({_NUMBER}) ?(km/h|m/s)(?![A-Za-z])")
_SPEEDS = {"km/h": ("每小时", "公里"), "m/s": ("每秒", "米")}
_UNIT = re.compile(rf"(?<=\d) ?({'|'.join(sorted(_UNITS, key=len, reverse=True))})(?![A-Za-z²³])")

_RANGE = re.compile(rf"{_GUARD}({_NUMBER}) ?[-–—~～] ?(?=({_NUMBER})(?![\d-]))")
_SIGN = re.compile(r"(?<![\dA-Za-z])[-\u2212](?=\d)")
_VERSION = re.compile(r"(?<![\d.])\d+(?:\.\d+){2,}+")
_COUNTED = re.compile(
    r"(?<![\d第A-Za-z.])2 ?(?=[个只本条张件位次天周岁块倍种杯瓶家辆部座间名米斤元秒份幅]"
    r"|年(?!级)|公[里斤]|小时|分钟|点)"
)
_ANY_NUMBER = re.compile(rf"(第 ?)?({_NUMBER})")
_SYMBOLS = {"+": "加", "=": "等于", "×": "乘", "÷": "除以"}
_SYMBOL = re.compile(r"(?<=\d) ?([+=×÷])|([+=×÷]) ?(?=\d)")


def read_out(text: str) -> str:
    """Return the text without digits; blanks must be single. Latin words stay as they are."""
    text = text.translate(_HALF_WIDTH)
    text = _DATE.sub(_date, text)
    text = _YEARS.sub(lambda match: f"{digits(match[1])}到", text)
    text = _YEAR.sub(lambda match: match[1] if match[1] == "1000" else digits(match[1]), text)
    text = _TIMES.sub(r"\1到", text)
    text = _TIME.sub(_time, text)
    text = _RATIO.sub(r"\1比", text)
    for telephone in _TELEPHONES:
        text = telephone.sub(lambda match: digits(match.group(), digit_one="幺"), text)
    text = _PERCENT_RANGE.sub(_percent_range, text)
    text = _PERCENT.sub(_percent, text)
    text = _FRACTION.sub(lambda match: f"{number(match[2])}分之{number(match[1])}", text)
    text = _MONEY.sub(_money, text)
    text = _MONEY_BEHIND.sub(_money, text)
    text = _SPEED.sub(_speed, text)
    text = _UNIT.sub(lambda match: _UNITS[match[1]], text)
    text = _VERSION.sub(lambda match: "点".join(map(number, match.group().split("."))), text)
    text = _RANGE.sub(_range, text)
    text = _SIGN.sub("负", text)
    text = _COUNTED.sub("两", text)
    text = _SYMBOL.sub(lambda match: _SYMBOLS[match[1] or match[2]], text)
    return _ANY_NUMBER.sub(_number, text)


def _date(match: re.Match[str]) -> str:
    return f"{digits(match[1])}年{cardinal(int(match[3]))}月{cardinal(int(match[4]))}日"


def _time(match: re.Match[str]) -> str:
    hour, minute, second = int(match[1]), int(match[2]), match[3]
    words = ("两" if hour == 2 else cardinal(hour)) + "点"
    if minute or second:
        words += "零" * (0 < minute < 10) + f"{cardinal(minute)}分"
    return words + (f"{cardinal(int(second))}秒" if second else "")


def _number(match: re.Match[str]) -> str:
    words = number(match[2])
    return f"{match[1]}{words.replace('两', '二', 1)}" if match[1] else words


def _percent_range(match: re.Match[str]) -> str:
    part = _PARTS[match["sign"]]
    return f"{part}{number(match[1])}到{part}{number(match[2])}"


def _percent(match: re.Match[str]) -> str:
    return f"{'负' if match[1] else ''}{_PARTS[match['sign']]}{number(match[2])}"


def _money(match: re.Match[str]) -> str:
    return f"{number(match['number'])}{match['scale']}{_CURRENCIES[match['currency']]}"


def _speed(match: re.Match[str]) -> str:
    per, unit = _SPEEDS[match[2]]
    return f"{per}{number(match[1])}{unit}"


def _range(match: re.Match[str]) -> str:
    first, last = (float(part.replace(",", "")) for part in match.groups())
    return f"{match[1]}{'到' if first < last else '比'}"
