"""The words of orders: goods, templates, ways of saying how urgent it is. Data for `statements.py` and `generate.py`.

Slots such as `{customer}` and `{items.0.name}` stand for values of the record; `{goods}`, `{total}`... for things that
are mentioned and belong to no field.
"""

from __future__ import annotations

from typing import Final

OFFICE, FOOD, HOME = "office", "food", "home"
# Name, measure word, lowest and highest price in yuan, kind.
GOODS: Final = (
    ("A4打印纸", "箱", 80, 220, OFFICE), ("签字笔", "支", 1, 15, OFFICE), ("办公椅", "把", 150, 1900, OFFICE),
    ("笔记本电脑", "台", 2900, 9900, OFFICE), ("蓝牙耳机", "副", 60, 1200, OFFICE), ("充电宝", "个", 40, 300, OFFICE),
    ("投影仪", "台", 1200, 9000, OFFICE), ("白板", "块", 60, 700, OFFICE), ("文件夹", "个", 3, 30, OFFICE),
    ("硒鼓", "个", 90, 700, OFFICE), ("显示器", "台", 600, 4200, OFFICE), ("键盘", "个", 40, 900, OFFICE),
    ("路由器", "台", 90, 1500, OFFICE), ("书架", "个", 90, 900, OFFICE), ("折叠桌", "张", 80, 600, OFFICE),
    ("龙井茶", "盒", 60, 800, FOOD), ("东北大米", "袋", 30, 160, FOOD), ("挂面", "箱", 20, 90, FOOD),
    ("咖啡豆", "袋", 40, 260, FOOD), ("橄榄油", "瓶", 50, 280, FOOD), ("月饼", "盒", 60, 500, FOOD),
    ("猫粮", "袋", 40, 400, FOOD), ("矿泉水", "箱", 20, 90, FOOD), ("核桃", "斤", 15, 60, FOOD),
    ("保温杯", "个", 29, 190, HOME), ("雨衣", "件", 15, 120, HOME), ("台灯", "盏", 40, 400, HOME),
    ("消毒湿巾", "包", 5, 40, HOME), ("橡胶手套", "盒", 10, 90, HOME), ("电热水壶", "把", 50, 300, HOME),
    ("毛巾", "条", 6, 60, HOME), ("洗衣液", "瓶", 15, 80, HOME), ("羽毛球", "筒", 20, 160, HOME),
    ("瑜伽垫", "张", 30, 260, HOME), ("窗帘", "套", 90, 1600, HOME), ("灭火器", "个", 40, 200, HOME),
    ("工作服", "套", 60, 300, HOME), ("安全帽", "顶", 15, 90, HOME), ("电缆", "卷", 90, 2000, HOME),
    ("瓷砖", "箱", 60, 500, HOME), ("乳胶漆", "桶", 150, 1300, HOME), ("口罩", "盒", 8, 60, HOME),
)  # fmt: skip
QUALITIES: Final = {
    OFFICE: ("黑色", "白色", "升级款", "新款", "家用", "原装", "经济型", "银色"),
    FOOD: ("有机", "特级", "进口", "礼盒装", "特价", "新鲜", "散装"),
    HOME: ("加厚", "大号", "小号", "红色", "深蓝色", "家用", "特价", "耐用型"),
}
COUNT_FIRST: Final = ("{quantity}{unit}{name}",)
NAME_FIRST: Final = ("{name}{quantity}{unit}", "{name} {quantity}{unit}", "{name} {quantity} {unit}")
WITH_SIGN: Final = ("{name}x{quantity}", "{name}*{quantity}")
PRICED: Final = ("，单价{price}", "（{price}/{unit}）", "，每{unit}{price}", "，{price}一{unit}", "（单价{price}）")
AND: Final = ("；", "，", "；", "、", "，还有")

COMPANY: Final = (
    ("盛禾", "海棠", "云起", "恒宇", "百川", "青松", "华晟", "启明", "拓远", "安泰", "瑞丰", "星河", "博雅", "众诚"),
    ("科技", "贸易", "餐饮", "文化传媒", "建材", "物流", "电子", "教育", "医疗器械", "装饰工程"),
    ("有限公司", "公司", "有限责任公司"),
)
COMPANY_ORDERS: Final = ("我们是{customer}", "{customer}订货", "这里是{customer}")
PERSON_ORDERS: Final = ("我是{customer}", "我叫{customer}", "{customer}订的")
NUMBERED: Final = ("订单号{order_no}", "订单号：{order_no}", "单号{order_no}", "订单{order_no}", "单号是{order_no}")
DATED: Final = (
    "{day}{time}下的单", "{day}{time}下单", "我{day}{time}订的货", "{day}{time}在你们店下了单", "我{day}{time}订购",
)  # fmt: skip
YEAR_APART: Final = ("（{year}年）", "今年是{year}年，", "{year}年的单子，")
HOURS: Final = {
    "早上": (6, 7, 8, 9), "上午": (8, 9, 10, 11), "中午": (12,), "下午": (1, 2, 3, 4, 5), "傍晚": (5, 6, 7),
    "晚上": (7, 8, 9, 10, 11),
}  # fmt: skip
WEEKDAYS: Final = "一二三四五六日"

STORES: Final = ("店", "分店", "门店")
PICKUP: Final = ("自提", "自取", "自己拿", "自己取")
PICKUP_FORM: Final = ("{kind}，{store}", "{kind}（{store}）", "{store}{kind}")
PICKUP_MESSAGE: Final = ("{kind}，{store}", "我去{store}{kind}", "到{store}{kind}", "{kind}（{store}）")
COURIER: Final = ("快递", "寄", "邮寄", "送货", "发货")
COURIER_TO: Final = ("{kind}到{address}", "请{kind}到{address}", "{kind}，地址{address}", "{kind}，收货地址：{address}")
PHONE: Final = ("，电话{phone}", "，手机 {phone}", "，联系{phone}", "，收货电话：{phone}")

URGENT: Final = (
    "加急", "越快越好", "急用", "十万火急", "请尽快发货", "明天开会就要用", "急着要", "火烧眉毛了", "等米下锅",
    "麻烦优先处理",
)  # fmt: skip
FLEXIBLE: Final = (
    "不着急",
    "慢慢来就行",
    "不急用",
    "什么时候有货什么时候发",
    "不赶时间",
    "晚几天也没关系",
    "有空再安排",
)
NORMAL: Final = ("正常发货就行", "按正常流程走", "普通件即可")
INVOICE: Final = ("要发票", "请开发票", "麻烦开增值税专用发票", "需要开票", "发票一起寄来", "给我开张票")
NO_INVOICE: Final = ("不用发票", "无需开票", "发票不用了", "不要发票")
REMARK_LABELS: Final = ("备注：", "备注:", "备注 ", "留言：", "PS：", "附言：")
REMARKS: Final = (
    "请用纸箱包装", "要最新批次的", "别和上次一样发错颜色", "附一份说明书", "多套一层泡沫", "不要拆开原包装",
    "送礼用，别放价签", "上次少了{n}件，请点清楚", "和上一单合并", "留{n}件先试用", "开箱前给{person}看一下",
)  # fmt: skip
COURIER_REMARKS: Final = (
    "易碎品请轻放", "送货前请提前打电话", "不要放在门口", "放{n}号柜", "交给门卫{person}", "周末不收货", "到了按门铃",
    "只在{hour}点以后有人", "司机走{street}那个门", "电梯坏了要走楼梯", "样品一起带来",
)  # fmt: skip
CHATTER: Final = (
    "上次买的{goods}很好用", "总共大概{total}元", "预算不超过{total}元", "货款{total}元已经付了",
    "你们的{person}给我介绍的", "最好{month}月{day}号以前能到", "希望{month}月{day}日能拿到", "优惠券已经用了",
    "积分记我账上", "{goods}这次先不要了",
)  # fmt: skip

LABELS: Final = {
    "order_no": ("订单号", "单号", "订单编号"),
    "customer": ("客户", "订货人", "顾客", "买方"),
    "order_date": ("下单日期", "日期", "订购时间"),
    "items": ("货品", "商品", "明细", "订购内容"),
    "delivery": ("交货", "配送", "配送方式"),
    "priority": ("优先级", "缓急", "时效"),
    "invoice_required": ("发票", "开票"),
    "remarks": ("备注", "留言", "附言"),
}
GREETINGS: Final = ("您好，", "你好，", "老板好，", "客服您好，", "您好！", "在吗，", "各位好，")
BUYING: Final = ("要", "买", "订购", "订", "我要", "采购", "需要")
THANKS: Final = ("谢谢", "谢谢！", "麻烦了", "多谢", "辛苦了！", "拜托了")
