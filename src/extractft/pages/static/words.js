// The words of the pages, in English and Chinese.

import { recall, remember } from "./dom.js";

const WORDS = {
  en: {
    language: "中文",
    extract: "Extract", review: "Review", key: "Key", title_extract: "Extract a record", title_review: "Review records",
    text: "Text", record: "Record", extractor: "Extractor", run: "Extract", running: "Extracting …",
    paste: "Paste a text here. It goes to this server and nowhere else.",
    no_record: "The record will stand here.", copy_json: "Copy as JSON", copy_curl: "Copy as curl", copied: "Copied.",
    copy_by_hand: "This page may not copy here: the text is selected, copy it by hand.",
    sure: "sure", fair: "fairly sure", doubtful: "doubtful", unknown: "confidence unknown",
    uncalibrated: "The confidences are the model's own, not held against other rows: it is too sure of itself.",
    absent: "absent", absent_sure: "absent, {level}", forced: "forced by the schema", here: "in the text",
    here_normalized: "in the text, written differently", here_fuzzy: "only something similar is in the text",
    nowhere: "not in the text", truncated: "The record was cut short: what is behind the cut is missing.",
    whole: "Whole record: {level}", whole_unknown: "Whole record: confidence unknown",
    ungrounded: "Places of the values are not known.", seconds: "{seconds} s",
    confidence_of: "{percent} %, {level}", items: "{count} items", item: "item {number}", empty_list: "empty list",
    edit: "Edit", not_in_text: "Not in the text", take: "Take the selection", undo: "Undo", add_item: "Add an item",
    remove_item: "Remove", fill_in: "Fill in", was: "was: {value}", was_absent: "was absent", changed: "changed by you",
    accept: "Right as it is", save: "Save the correction", skip: "Skip", back: "Back", help: "Keys",
    saved_accept: "Saved: right as it is.", saved_correct: "Saved: {count} changes.", saved_skip: "Left to somebody else.",
    saving: "Saving …", checking: "Checking …", valid: "The record is valid.", invalid: "{count} things are wrong.",
    still_invalid: "Not saved: the schema refuses the record.",
    nothing_left: "Nothing is left for you to look at.", nothing_left_hint: "Add records with: extractft review add",
    others_have: "Records that somebody else looks at: {count}. Those that are not decided on within ten minutes are free again.",
    progress: "Progress", done_of: "{done} of {items} records done", agreement: "Agreement",
    agreement_of: "Reviewers agree on {percent} % of {count} records that several have looked at.",
    no_agreement: "No record has been looked at by two reviewers yet.",
    corrections: "Corrections by field", field: "Field", proposed: "proposed", wrong: "wrong", invented: "not in the text",
    missed: "missed", sure_and_wrong: "sure and wrong", no_corrections: "Nothing has been corrected yet.",
    reviewers: "Reviewers", reviewer: "Reviewer", accepted: "right as it was", corrected: "corrected", skipped: "skipped",
    who: "Your name", who_why: "It stands in the history beside what you decide.", go: "Go on", change_name: "Change name",
    key_title: "A key is needed", key_why: "This server asks for a key. It is kept until this tab is closed.",
    close: "Close", reason: "Here because: {reason}", row: "Record {id}", selection_first: "Select something in the text first.",
    taken: "Somebody else looks at this record, or has decided: here is the next.",
    failed: "The server did not do it: {detail}", unreachable: "The server cannot be reached. Nothing is lost here; try again.",
    history: "History", decided: "{who}, {when}: {kind}", kind_accept: "right as proposed", kind_correct: "corrected",
    kind_skip: "skipped", unsaved: "There are changes that are not saved.", in_json: "as JSON",
    keys: [
      ["j k ↓ ↑", "next and previous field"], ["Enter, e", "edit the field; Enter is done, Esc takes it back"],
      ["x", "the value is not in the text"], ["m", "into the text; arrows move, Shift selects, Esc leads back"],
      ["t", "take the selection as the field's value"], ["z", "undo what was changed in the field"],
      ["+ -", "add an item to a list, remove this one"], ["a, Ctrl+Enter", "right as it is, or save the correction"],
      ["s", "skip: leave the record to somebody else"], ["b", "back to the record before"], ["?", "this list"],
    ],
  },
  zh: {
    language: "English",
    extract: "提取", review: "复核", key: "密钥", title_extract: "提取记录", title_review: "复核记录",
    text: "原文", record: "记录", extractor: "提取器", run: "提取", running: "正在提取……",
    paste: "把文本粘贴到这里。它只会发送到这台服务器。",
    no_record: "记录会显示在这里。", copy_json: "复制 JSON", copy_curl: "复制 curl 命令", copied: "已复制。",
    copy_by_hand: "此页面无法访问剪贴板：文本已选中，请手动复制。",
    sure: "可靠", fair: "较可靠", doubtful: "存疑", unknown: "置信度未知",
    uncalibrated: "置信度是模型自己给出的，没有用其他数据校准：通常偏高。",
    absent: "缺失", absent_sure: "缺失，{level}", forced: "由模式决定", here: "原文中有",
    here_normalized: "原文中有，写法不同", here_fuzzy: "原文中只有相似的内容",
    nowhere: "原文中没有", truncated: "记录被截断：截断之后的内容缺失。",
    whole: "整条记录：{level}", whole_unknown: "整条记录：置信度未知",
    ungrounded: "不知道各个值在原文中的位置。", seconds: "{seconds} 秒",
    confidence_of: "{percent} %，{level}", items: "{count} 项", item: "第 {number} 项", empty_list: "空列表",
    edit: "编辑", not_in_text: "原文中没有", take: "取用选中的文字", undo: "撤销", add_item: "添加一项",
    remove_item: "删除", fill_in: "填写", was: "原值：{value}", was_absent: "原为缺失", changed: "已由您修改",
    accept: "正确", save: "保存更正", skip: "跳过", back: "上一条", help: "按键",
    saved_accept: "已保存：正确。", saved_correct: "已保存：{count} 处更正。", saved_skip: "已留给其他人。",
    saving: "正在保存……", checking: "正在检查……", valid: "记录有效。", invalid: "有 {count} 处问题。",
    still_invalid: "未保存：记录不符合模式。",
    nothing_left: "没有需要您复核的记录了。", nothing_left_hint: "添加记录：extractft review add",
    others_have: "其他人正在复核的记录：{count} 条。十分钟内没有决定的会重新空出来。",
    progress: "进度", done_of: "已完成 {done} / {items} 条", agreement: "一致性",
    agreement_of: "在 {count} 条由多人复核的记录中，{percent} % 意见一致。",
    no_agreement: "还没有由两个人复核过的记录。",
    corrections: "各字段的更正", field: "字段", proposed: "提出", wrong: "错误", invented: "原文中没有",
    missed: "遗漏", sure_and_wrong: "可靠却错误", no_corrections: "还没有更正。",
    reviewers: "复核人", reviewer: "姓名", accepted: "正确", corrected: "更正", skipped: "跳过",
    who: "您的姓名", who_why: "它会和您的决定一起记入历史。", go: "继续", change_name: "更改姓名",
    key_title: "需要密钥", key_why: "这台服务器需要密钥。密钥保留到关闭此标签页为止。",
    close: "关闭", reason: "原因：{reason}", row: "记录 {id}", selection_first: "请先在原文中选择文字。",
    taken: "其他人正在复核或已经决定了这条记录：这是下一条。",
    failed: "服务器没有完成：{detail}", unreachable: "无法连接服务器。这里的内容没有丢失；请重试。",
    history: "历史", decided: "{who}，{when}：{kind}", kind_accept: "正确", kind_correct: "更正",
    kind_skip: "跳过", unsaved: "有未保存的更改。", in_json: "JSON 格式",
    keys: [
      ["j k ↓ ↑", "下一个、上一个字段"], ["Enter, e", "编辑字段；Enter 完成，Esc 撤回"],
      ["x", "原文中没有这个值"], ["m", "进入原文；方向键移动，Shift 选择，Esc 返回"],
      ["t", "取用选中的文字作为字段的值"], ["z", "撤销对该字段的更改"],
      ["+ -", "给列表添加一项、删除这一项"], ["a, Ctrl+Enter", "正确，或保存更正"],
      ["s", "跳过：留给其他人"], ["b", "回到上一条记录"], ["?", "显示这张表"],
    ],
  },
};
const REASONS = { zh: { "low confidence": "置信度低" } };

let language = remembered() || (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");

function remembered() {
  const found = recall("localStorage", "extractft-language");
  return found in WORDS ? found : null;
}

export function words(name, values = {}) {
  const found = WORDS[language][name];
  if (typeof found !== "string") return found;
  return found.replace(/\{(\w+)\}/g, (_, key) => String(values[key]));
}

export function reasonWords(reason) {
  return REASONS[language]?.[reason] ?? reason;
}

export function currentLanguage() {
  return language;
}

export function switchLanguage() {
  language = language === "en" ? "zh" : "en";
  remember("localStorage", "extractft-language", language);
}

// Put the words into everything that names them by `data-words`, and by `data-words-label` for those who listen.
export function translate(root = document) {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of root.querySelectorAll("[data-words]")) element.textContent = words(element.dataset.words);
  for (const element of root.querySelectorAll("[data-words-label]")) {
    element.setAttribute("aria-label", words(element.dataset.wordsLabel));
  }
  for (const element of root.querySelectorAll("[data-words-placeholder]")) {
    element.setAttribute("placeholder", words(element.dataset.wordsPlaceholder));
  }
}
